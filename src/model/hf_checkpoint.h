#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/weight_source.h"
#include "model/config.h"
#include "model/export.h"
#include "model/quantize.h"
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

/// How a Hugging Face checkpoint is written.
struct HfOptions {
  /// Of all floats, norms too: f32, bf16 or f16.
  DType dtype = DType::kBF16;
  /// Routed and shared experts as codes, in the forms of compressed-tensors
  /// (docs/formats/safetensors.md): the same bits as code_experts() makes of the same floats.
  ExpertCoding experts = ExpertCoding::kNone;
  int64_t max_shard_bytes = int64_t{5} << 30;
  ExportProgress progress = nullptr;
};

/// Writes config.json and model*.safetensors (sharded above max_shard_bytes, with index) into DIR,
/// which is made if it is missing, tensor by tensor and expert by expert. The tensors are those of
/// hf_tensors(), and those of the image tower when the config describes it. Tokenizer files are the
/// caller's. Throws UsageError for other dtypes, and for codes when the model has no experts.
void save_hf(const std::filesystem::path& dir, const Config& config,
             const std::vector<ExportTensor>& tensors, const HfOptions& options);

/// The same from weights; with an image tower, which the config must describe
/// (set_vision_config). Throws NotSupported when experts that are codes are to be coded again.
void save_hf(const std::filesystem::path& dir, const Config& config, const TextWeights& weights,
             const HfOptions& options, const VisionTower* vision = nullptr);
void save_hf(const std::filesystem::path& dir, const Config& config, const TextWeights& weights,
             DType dtype, int64_t max_shard_bytes = int64_t{5} << 30,
             const VisionTower* vision = nullptr);

}  // namespace corral::model
