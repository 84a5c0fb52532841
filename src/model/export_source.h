#pragma once

#include <vector>

#include "io/weight_source.h"
#include "model/config.h"
#include "model/export.h"
#include "model/vision/vision_config.h"

namespace corral::model {

// The lists of export.h straight from a checkpoint of floats in Hugging Face's names, in which the
// routed experts may lie as gate and up apart (open_meta_checkpoint). Only the rows of a part are
// in memory, also where they have to be merged. The source must outlive the lists. Throws
// CorruptFile naming a tensor that is missing or has another shape than the config says.

std::vector<ExportTensor> hf_tensors(const Config& config, const io::WeightSource& source,
                                     const DevicePtr& device);
std::vector<ExportTensor> gguf_tensors(const Config& config, const io::WeightSource& source,
                                       const DevicePtr& device);
std::vector<ExportTensor> hf_vision_tensors(const VisionConfig& config,
                                            const io::WeightSource& source,
                                            const DevicePtr& device);

}  // namespace corral::model
