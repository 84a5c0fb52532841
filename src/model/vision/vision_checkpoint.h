#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "io/weight_source.h"
#include "model/export.h"
#include "model/vision/vision_config.h"
#include "model/vision/vision_weights.h"

namespace corral::model {

/// The tower's weights in a Hugging Face checkpoint, as views of its files.
VisionWeights hf_vision_weights(const io::WeightSource& source, const VisionConfig& config,
                                const DevicePtr& device);
/// The same as f32 tensors in memory of their own, in the order of vision_parameter_list.
std::vector<Tensor> hf_vision_parameters(const io::WeightSource& source, const VisionConfig& config,
                                         const DevicePtr& device);

/// The tower in a separate GGUF file, as llama.cpp keeps it ("mmproj", architecture clip, projector
/// llama4; docs/formats/gguf.md), for a text model of `text`. The file does not know token ids:
/// image_token keeps its default. Throws CorruptFile, also when the projector is of another model.
VisionConfig mmproj_config(const io::GgufFile& file, const Config& text);
VisionWeights mmproj_weights(const io::GgufFile& file, const VisionConfig& config,
                             const DevicePtr& device);

/// The projector file that lies beside a GGUF model: mmproj-MODEL.gguf, MODEL-mmproj.gguf, or the
/// only mmproj*.gguf of the folder. Empty when there is none, or several to choose from.
std::filesystem::path find_mmproj(const std::filesystem::path& model);

/// Writes such a file from the lists below: matrices in `dtype` (f32, f16, bf16, or q8_0 where rows
/// are whole blocks), vectors and positions in f32. No more than a part of a tensor is in memory.
void save_mmproj(const std::filesystem::path& path, const VisionConfig& config,
                 const std::vector<ExportTensor>& tensors, DType dtype, const std::string& name);

/// The tower's tensors under their Hugging Face names. The weights must outlive the list.
std::vector<ExportTensor> hf_vision_tensors(const VisionConfig& config,
                                            const VisionWeights& weights);

}  // namespace corral::model
