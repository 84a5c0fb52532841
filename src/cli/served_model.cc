#include "cli/served_model.h"

#include <chrono>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace corral::cli {
namespace {

namespace fs = std::filesystem;

// Weights are mapped, so what their files take is what the memory comes to hold.
int64_t bytes_of(const fs::path& path) {
  if (!fs::is_directory(path)) return static_cast<int64_t>(fs::file_size(path));
  int64_t bytes = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(path)) {
    if (file.is_regular_file()) bytes += static_cast<int64_t>(file.file_size());
  }
  return bytes;
}

int64_t changed_at(const fs::path& path) {
  const auto time = std::chrono::file_clock::to_sys(fs::last_write_time(path));
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

/// What must outlive an engine.
struct Weights {
  std::shared_ptr<const model::LoadedModel> model;
  std::unique_ptr<const model::LoadedModel> draft_model;
};

int64_t draft_kv_bytes(const ServedModel& served) {
  return static_cast<int64_t>(served.draft_kv_gib * 1024 * kMiB);
}

serve::Service::Parts open_model(const ServedModel& served, const DevicePtr& device) {
  auto loaded = std::make_shared<const model::LoadedModel>(
      load_model(served.path, device, served.load, served.mmproj));
  engine::SchedulerOptions options = served.engine;
  options.precision = parse_precision(served.precision);
  options.kv_types = served.kv_types.types();
  options.kv_bytes = static_cast<int64_t>(served.kv_gib * 1024 * kMiB);
  options.prefix_cache = !served.no_prefix_cache;
  options.kv_disk = served.kv_disk;
  options.kv_disk_bytes = static_cast<int64_t>(served.kv_disk_gib * 1024 * kMiB);
  serve::Service::Parts parts;
  parts.tokenizer = loaded->need_tokenizer();
  if (loaded->vision != nullptr) {
    model::ForwardOptions forward;
    forward.precision = options.precision;
    parts.eyes = std::make_unique<engine::ImageEncoder>(
        loaded->vision, forward, static_cast<int64_t>(served.image_cache_mib * kMiB));
  }
  model::ForwardOptions draft_forward;
  draft_forward.precision = options.precision;
  Speculation speculation = served.speculation.make(*loaded, draft_forward, draft_kv_bytes(served));
  parts.engine = std::make_unique<engine::Engine>(loaded->model, parts.tokenizer, options,
                                                  std::move(speculation.speculator));
  parts.owner = std::make_shared<const Weights>(
      Weights{.model = std::move(loaded), .draft_model = std::move(speculation.draft_model)});
  return parts;
}

}  // namespace

void ServedModel::add_to(CLI::App& command) {
  command.add_option("--name", name, "what clients call the model");
  command.add_option("--mmproj", mmproj,
                     "image projector file of a GGUF model (default: the one beside it)");
  add_precision(command, precision);
  load.add_to(command);
  kv_types.add_to(command);
  command.add_option("--kv-gib", kv_gib, "memory for keys and values, in GiB")
      ->check(CLI::Range(0.0001, 1e6))
      ->capture_default_str();
  command.add_option("--kv-disk", kv_disk,
                     "folder for keys and values of beginnings that memory does not hold");
  command.add_option("--kv-disk-gib", kv_disk_gib, "most that they take there, in GiB")
      ->check(CLI::Range(0.0001, 1e6))
      ->capture_default_str();
  command.add_option("--image-cache-mib", image_cache_mib, "memory for pictures seen, in MiB")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option("--context", engine.context_tokens,
                  "longest prompt with answer, in tokens (default: what model and memory allow)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 40));
  command.add_option("--max-running", engine.max_running, "answers that grow at the same time")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command.add_option("--max-waiting", engine.max_waiting, "requests that wait; more get 429")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--step-tokens", engine.step_tokens, "most tokens of one pass")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command
      .add_option("--step-seconds", engine.step_seconds,
                  "what a pass should not exceed while answers grow")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  speculation.add_to(command);
  command
      .add_option("--draft-kv-gib", draft_kv_gib,
                  "memory for the draft model's keys and values, in GiB")
      ->check(CLI::Range(0.0001, 1e6))
      ->capture_default_str();
  command.add_flag("--no-prefix-cache", no_prefix_cache, "compute every prompt from its beginning");
}

serve::ShelfEntry ServedModel::entry(const DevicePtr& device) const {
  serve::ShelfEntry entry;
  const fs::path file = resolve_model(path);
  entry.name =
      name.empty() ? load_model(path, device, {.quantize = {}, .no_mmap = false}).name : name;
  entry.bytes = bytes_of(file) + static_cast<int64_t>(kv_gib * 1024 * kMiB) +
                static_cast<int64_t>(image_cache_mib * kMiB);
  if (!mmproj.empty()) entry.bytes += bytes_of(mmproj);
  if (!speculation.draft().empty()) {
    entry.bytes += bytes_of(resolve_model(speculation.draft())) + draft_kv_bytes(*this);
  }
  entry.created = changed_at(file);
  entry.preload = preload;
  entry.open = [served = *this, device] { return open_model(served, device); };
  return entry;
}

}  // namespace corral::cli
