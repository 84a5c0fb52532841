#include "cli/common.h"

#include <algorithm>

#include "base/cpu_topology.h"
#include "base/error.h"
#include "base/progress.h"
#include "cli/pulled_models.h"
#include "cli/tuned_settings.h"
#include "model/quantize.h"
#include "model/resident.h"

namespace corral::cli {
namespace {

constexpr int kMaxThreads = 1024;

// Where models may lie, seen from the program: build/release/corral in the source tree, bin/corral
// when installed.
std::vector<std::filesystem::path> model_folders() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const auto folder = program.parent_path();
  return {folder / "../../models", folder / "../share/corral/models"};
}

bool is_model(const std::filesystem::path& path) {
  return path.extension() == ".gguf" || std::filesystem::exists(path / "config.json");
}

}  // namespace

void MachineOptions::add_to(CLI::App& command) {
  command
      .add_option(
          "-t,--threads", threads_,
          "threads to compute with (default: what `corral tune` found, or one a core that is "
          "fast enough, within the limits of affinity and control groups)")
      ->check(CLI::Range(1, kMaxThreads));
  command.add_option("--isa,--cpu-isa", isa_,
                     str("instructions to compute with, of this machine's ",
                         simd::machine_isa_names(), " (default: the last)"));
}

DevicePtr MachineOptions::device(const std::string& model) const {
  CpuOptions options;
  if (threads_ > 0) {
    options.threads = threads_;
  } else if (!model.empty()) {
    const auto tuned = tuned_settings(model);
    if (tuned) options.threads = tuned->threads;
  }
  if (!isa_.empty()) options.isa = simd::parse_isa(isa_);
  const NodeBinding binding(read_cpu_topology("/", allowed_cpus()), options.threads);
  return Device::cpu(options);
}

void KvTypeOptions::add_to(CLI::App& command) {
  command.add_option("--kv-type", both_,
                     "what the cache stores: f32 (default), bf16, q8_0 or q4_0, for keys and "
                     "values or, as K,V, for each");
  command.add_option("--kv-type-k", k_, "the same, for keys alone");
  command.add_option("--kv-type-v", v_, "the same, for values alone");
}

kv::KvTypes KvTypeOptions::types() const {
  kv::KvTypes types;
  if (!both_.empty()) types = kv::parse_kv_types(both_);
  if (!k_.empty()) types.k = kv::parse_kv_type(k_);
  if (!v_.empty()) types.v = kv::parse_kv_type(v_);
  return types;
}

std::vector<ListedModel> listed_models() {
  std::vector<ListedModel> models;
  for (const auto& folder : model_folders()) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      if (!is_model(entry.path())) continue;
      models.push_back({entry.path().stem().string(), std::filesystem::canonical(entry.path())});
    }
  }
  for (ListedModel& pulled : pulled_models()) models.push_back(std::move(pulled));
  std::sort(models.begin(), models.end(),
            [](const ListedModel& a, const ListedModel& b) { return a.name < b.name; });
  return models;
}

std::filesystem::path resolve_model(const std::string& model) {
  std::error_code error;
  if (std::filesystem::exists(model, error)) return model;
  std::string known;
  for (const ListedModel& listed : listed_models()) {
    if (listed.name == model) return listed.path;
    known += (known.empty() ? "" : ", ") + listed.name;
  }
  throw UsageError(
      str("model '", model, "' is neither a file nor a folder, nor one of the listed models (",
          known.empty() ? "there are none" : known, "); `corral pull` downloads models"));
}

void add_precision(CLI::App& command, std::string& precision) {
  command
      .add_option("--precision", precision,
                  "f32: products with every bit of float weights; bf16: both sides rounded, faster")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
}

void LoadOptions::add_to(CLI::App& command) {
  command
      .add_option("--quantize", quantize,
                  "int4 or fp8: make the experts smaller while loading, as Meta's reference does")
      ->check(CLI::IsMember({"none", "int4", "fp8"}));
  CLI::Option* const copied = command.add_flag_callback(
      "--no-mmap", [this] { no_mmap = true; },
      "copy the weights into memory, in large pages and in the order in which they are multiplied, "
      "instead of mapping the files: the start takes longer, answers come faster "
      "(default: what `corral tune` found, or mapped)");
  command
      .add_flag_callback(
          "--mmap", [this] { no_mmap = false; }, "map them")
      ->excludes(copied);
}

model::LoadedModel load_model(const std::string& model, const DevicePtr& device,
                              const LoadOptions& options, const std::filesystem::path& mmproj,
                              Io* io) {
  model::LoadedModel loaded = model::load_model(resolve_model(model), device, mmproj);
  if (!options.quantize.empty()) {
    const model::ExpertCoding coding = model::parse_expert_coding(options.quantize);
    loaded.model = model::TextModel(loaded.model.config(),
                                    model::code_experts(loaded.model.weights(), coding));
  }
  const auto tuned = options.no_mmap ? std::nullopt : tuned_settings(model);
  bool copied = options.no_mmap.value_or(tuned && tuned->no_mmap);
  // `corral tune` found what it found with memory for it: without, the model still runs.
  if (copied && tuned && !model::fits_in_memory(loaded.model.weights())) {
    copied = false;
    if (io != nullptr) io->err << "weights are mapped: to copy them, there is too little memory\n";
  }
  if (copied) make_resident(loaded, io);
  return loaded;
}

void make_resident(model::LoadedModel& loaded, Io* io) {
  if (io == nullptr) return model::make_resident(loaded);
  const auto mb = [](int64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  Progress progress(io->err, io->terminal, "loading",
                    mb(model::resident_bytes(loaded.model.weights())), "MB");
  model::make_resident(loaded, [&](int64_t bytes) { progress.update(mb(bytes)); });
  progress.finish();
}

quant::Precision parse_precision(const std::string& name) {
  if (name == "f32") return quant::Precision::kF32;
  if (name == "bf16") return quant::Precision::kBF16;
  throw UsageError(str("precision '", name, "' is unknown: use f32 or bf16"));
}

}  // namespace corral::cli
