#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "io/weight_source.h"
#include "model/config.h"

namespace corral::model {

/// True for a folder that holds a checkpoint as Meta publishes it: params.json and
/// consolidated.00.pth, ... (docs/formats/meta.md).
bool is_meta_checkpoint(const std::filesystem::path& dir);

/// The config that params.json means (`name` is the file's, for messages): widths by the
/// reference's rule, its defaults for absent values, Llama 4's own token ids when the vocabulary
/// has its size. Throws CorruptFile.
Config parse_meta_config(const std::string& text, const std::string& name);

/// DIR/params.json.
Config read_meta_config(const std::filesystem::path& dir);

/// The tensors of a native checkpoint under the names and in the shapes of Hugging Face's, image
/// tower included, except that gate and up of the routed experts stay apart, as they lie in the
/// files: `...experts.gate_proj` and `...experts.up_proj`, [E, D, F] (hf_weights() knows them). One
/// part is mapped, not copied (but for the small router, which is stored transposed); the slices of
/// several model-parallel parts are merged in memory as a tensor is asked for. Throws CorruptFile
/// naming a tensor that is missing, has another shape than the config says, or differs in type
/// between the parts; IoError naming a part that is missing.
std::unique_ptr<io::WeightSource> open_meta_checkpoint(const std::filesystem::path& dir,
                                                       const Config& config);

}  // namespace corral::model
