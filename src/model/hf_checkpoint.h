#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/weight_source.h"
#include "model/config.h"
#include "model/vision/vision_tower.h"
#include "model/weights.h"

namespace corral::model {

/// DIR/config.json. Throws IoError, CorruptFile.
Config read_hf_config(const std::filesystem::path& dir);

/// The text model of a Hugging Face checkpoint as views of its files, also when the file says
/// Llama4ForConditionalGeneration in config.json but names its tensors without `language_model.`,
/// or the other way round. Throws CorruptFile naming a missing tensor or a wrong shape.
TextWeights hf_weights(const io::WeightSource& source, const Config& config,
                       const DevicePtr& device);

/// The same as f32 copies in memory of their own, for training, in the order of
/// parameter_list(config).
std::vector<Tensor> hf_parameters(const io::WeightSource& source, const Config& config,
                                  const DevicePtr& device);

/// Writes config.json and model*.safetensors (sharded above max_shard_bytes, with index) into DIR,
/// which is made if it is missing; floats are stored as `dtype` (f32, bf16 or f16), norms too.
/// Tokenizer files are the caller's. With an image tower, the config must describe it
/// (set_vision_config) and its tensors are written too.
void save_hf(const std::filesystem::path& dir, const Config& config, const TextWeights& weights,
             DType dtype, int64_t max_shard_bytes = int64_t{5} << 30,
             const VisionTower* vision = nullptr);

}  // namespace corral::model
