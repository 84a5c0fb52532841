#include "train/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "model/hf_checkpoint.h"
#include "text/tokenizer_files.h"

namespace corral::train {
namespace {

namespace fs = std::filesystem;

constexpr int kStateVersion = 1;
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartial = ".partial";
constexpr const char* kStateName = "trainer_state.json";
constexpr const char* kOptimizerName = "optimizer.safetensors";
constexpr const char* kLatestName = "latest";

std::string folder_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof(name), "step-%06ld", step);
  return name;
}

/// The step of a complete checkpoint's folder name.
std::optional<int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return step;
}

/// Complete checkpoints, oldest first.
std::vector<fs::path> checkpoints(const fs::path& folder) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto step = step_of(entry.path());
    if (step && fs::exists(entry.path() / kStateName, error)) found.emplace_back(*step, entry);
  }
  std::sort(found.begin(), found.end());
  std::vector<fs::path> paths;
  for (auto& entry : found) paths.push_back(std::move(entry.second));
  return paths;
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  // Some file systems cannot sync a folder; the rename is then as durable as they make it.
  ::fsync(descriptor);
  ::close(descriptor);
}

void write_optimizer(const fs::path& path, const Adamw& optimizer) {
  std::vector<io::NamedTensor> tensors;
  for (size_t i = 0; i < optimizer.tensors().size(); ++i) {
    const std::string& name = optimizer.tensors()[i].name;
    tensors.push_back({name + ".m", optimizer.first_moments()[i]});
    tensors.push_back({name + ".v", optimizer.second_moments()[i]});
  }
  io::write_safetensors(path, std::move(tensors));
}

std::string state_json(const TrainState& state) {
  nlohmann::ordered_json json;
  json["version"] = kStateVersion;
  json["step"] = state.step;
  json["tokens"] = state.rows;
  json["cursor"] = {
      {"epoch", state.cursor.epoch}, {"item", state.cursor.item}, {"offset", state.cursor.offset}};
  json["metrics_bytes"] = state.metrics_bytes;
  json["idle_steps"] = state.idle_steps;
  json["identity"] = state.identity;
  return json.dump(1) + '\n';
}

void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

}  // namespace

CheckpointFolder::CheckpointFolder(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw IoError(str("cannot make ", folder_.string(), ": ", error.message()));
}

std::optional<fs::path> CheckpointFolder::latest() const {
  const auto all = checkpoints(folder_);
  if (all.empty()) return std::nullopt;
  return all.back();
}

fs::path CheckpointFolder::save(const model::TextModel& model, const text::Tokenizer& tokenizer,
                                const Adamw& optimizer, const TrainState& state, int64_t keep) {
  const std::string name = folder_name(state.step);
  const fs::path path = folder_ / name;
  fs::path partial = path;
  partial += kPartial;
  try {
    remove_quietly(partial);
    fs::create_directories(partial);
    model::save_hf(partial, model.config(), model.weights(), DType::kF32);
    text::save_tokenizer(tokenizer, partial);
    write_optimizer(partial / kOptimizerName, optimizer);
    write_file_atomically(partial / kStateName, state_json(state));
    sync_folder(partial);
    remove_quietly(path);
    fs::rename(partial, path);
    sync_folder(folder_);
  } catch (const fs::filesystem_error& error) {
    remove_quietly(partial);
    throw IoError(str("cannot write ", path.string(), ": ", error.code().message()));
  } catch (...) {
    remove_quietly(partial);
    throw;
  }
  std::error_code ignored;
  const fs::path link = folder_ / (std::string(kLatestName) + std::string(kPartial));
  fs::remove(link, ignored);
  fs::create_directory_symlink(name, link, ignored);
  fs::rename(link, folder_ / kLatestName, ignored);
  auto all = checkpoints(folder_);
  for (size_t i = 0; i + static_cast<size_t>(keep) < all.size(); ++i) remove_quietly(all[i]);
  return path;
}

fs::path CheckpointFolder::set_aside() const {
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) || name == kLatestName || name == "metrics.jsonl" ||
        name == "recipe.toml" || name == "tokenizer") {
      old.push_back(entry.path());
    }
  }
  if (old.empty()) return {};
  fs::path target;
  for (int n = 1; target.empty() || fs::exists(target); ++n) {
    target = folder_ / str("previous-", n);
  }
  fs::create_directories(target);
  for (const fs::path& path : old) fs::rename(path, target / path.filename());
  return target;
}

TrainState read_state(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kStateName;
  const Json json = parse_json(read_file(path), path.string());
  TrainState state;
  try {
    if (json.at("version").get<int>() != kStateVersion) {
      throw CorruptFile(
          str(path.string(), ": version ", json.at("version").dump(), ", needs ", kStateVersion));
    }
    json.at("step").get_to(state.step);
    json.at("tokens").get_to(state.rows);
    json.at("cursor").at("epoch").get_to(state.cursor.epoch);
    json.at("cursor").at("item").get_to(state.cursor.item);
    json.at("cursor").at("offset").get_to(state.cursor.offset);
    json.at("metrics_bytes").get_to(state.metrics_bytes);
    json.at("idle_steps").get_to(state.idle_steps);
    json.at("identity").get_to(state.identity);
  } catch (const nlohmann::json::exception& error) {
    throw CorruptFile(str(path.string(), ": not the state of a trainer: ", error.what()));
  }
  if (state.step < 0 || state.rows < 0 || state.metrics_bytes < 0) {
    throw CorruptFile(path.string() + ": negative counts");
  }
  return state;
}

void load_optimizer(const fs::path& checkpoint, int64_t step, Adamw& optimizer) {
  const io::SafetensorsFile file(checkpoint / kOptimizerName);
  std::vector<Tensor> first;
  std::vector<Tensor> second;
  for (const OptimizedTensor& tensor : optimizer.tensors()) {
    for (const char* moment : {".m", ".v"}) {
      Tensor loaded = file.get(tensor.name + moment, tensor.value.device());
      if (loaded.dtype() != DType::kF32 || !(loaded.shape() == tensor.value.shape())) {
        throw CorruptFile(str(file.origin(), ": ", tensor.name, moment, " is ", loaded.dtype(), " ",
                              loaded.shape(), ", needs f32 ", tensor.value.shape()));
      }
      (moment[1] == 'm' ? first : second).push_back(std::move(loaded));
    }
  }
  optimizer.restore(step, first, second);
}

}  // namespace corral::train
