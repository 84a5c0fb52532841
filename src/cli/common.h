#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/io.h"
#include "kv/kv_types.h"
#include "model/loaded_model.h"
#include "quant/linear_weight.h"

namespace corral::cli {

/// --threads and --isa, which every command that computes takes.
class MachineOptions {
 public:
  void add_to(CLI::App& command);
  /// model: what it is for; then the default is what `corral tune` found for it.
  DevicePtr device(const std::string& model = "") const;

 private:
  int threads_ = 0;  // 0: as many as pay
  std::string isa_;  // empty: the best
};

/// --kv-type, --kv-type-k and --kv-type-v: what the KV cache stores.
class KvTypeOptions {
 public:
  void add_to(CLI::App& command);
  /// f32 for what was not given.
  kv::KvTypes types() const;
  bool given() const { return !both_.empty() || !k_.empty() || !v_.empty(); }

 private:
  std::string both_;
  std::string k_;
  std::string v_;
};

/// A model that `corral list` shows: a file or folder of the models folder.
struct ListedModel {
  std::string name;
  std::filesystem::path path;
};

/// The models at hand. Those that come with Corral: those in the folder `models` of the source tree
/// that the program was built in, or in share/corral/models beside an installed program. Then those
/// that were pulled.
std::vector<ListedModel> listed_models();

/// The path that a MODEL argument means: an existing file or folder, else a listed name. Throws
/// UsageError naming what there is.
std::filesystem::path resolve_model(const std::string& model);

/// Help text of a MODEL argument.
inline constexpr const char* kModelHelp =
    "a GGUF file, a Hugging Face directory or one of Meta's, or a name from `corral list`";

/// Adds the precision option: f32 computes with every bit of the weights, bf16 rounds both sides of
/// matrix products.
void add_precision(CLI::App& command, std::string& precision);
quant::Precision parse_precision(const std::string& name);

/// How the weights come into memory, for every command that computes with a model.
struct LoadOptions {
  std::string quantize;         // int4 or fp8 for the experts, made as the model is loaded
  std::optional<bool> no_mmap;  // copied into memory; without value, what `corral tune` found

  void add_to(CLI::App& command);
};
/// The model that the argument means. Progress of what takes long goes to io, if there is one.
model::LoadedModel load_model(const std::string& model, const DevicePtr& device,
                              const LoadOptions& options = {},
                              const std::filesystem::path& mmproj = {}, Io* io = nullptr);
/// model::make_resident() with its progress.
void make_resident(model::LoadedModel& loaded, Io* io);

}  // namespace corral::cli
