#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/weight_source.h"
#include "model/weights.h"

namespace corral::model {

/// The matrix `name` (ending in ".weight") [out, in] when the checkpoint keeps it as codes
/// (docs/formats/safetensors.md): FP8 with `name`_scale, or int4 in NAME_packed, NAME_scale and
/// NAME_shape. Empty when it does not. Throws CorruptFile naming a tensor that is missing or does
/// not fit, NotSupported for zero points and permuted groups.
std::optional<quant::LinearWeight> read_coded(const io::WeightSource& source,
                                              const std::string& name, int64_t out, int64_t in,
                                              const DevicePtr& device);

/// The routed experts when the checkpoint keeps them as codes: one by one
/// (`experts.7.gate_proj.weight`) or, in FP8, in the fused tensors with `gate_up_proj_scale` and
/// `down_proj_scale`. The infos say where fused floats would be.
std::optional<MlpWeights> read_coded_experts(const io::WeightSource& source,
                                             const ParameterInfo& gate_up,
                                             const ParameterInfo& down, const DevicePtr& device);

}  // namespace corral::model
