#pragma once

#include <optional>

#include "kv/batch.h"
#include "model/forward.h"
#include "model/layer_spec.h"
#include "model/weights.h"
#include "ops/rope/rope.h"

namespace corral::model {

/// The config's frequency scaling as the op takes it.
std::optional<ops::RopeScaling> rope_scaling(const Config& config);

/// One layer's attention: x [T, D] (already normalised) -> [T, D].
/// The order of RoPE, QK norm and temperature is that of Meta's reference (models/llama4/model.py).
Tensor attention(const Tensor& x_TD, const AttentionSpec& spec, const AttentionWeights& weights,
                 const ops::RopeFrequencies& rope, const kv::Batch& batch, int64_t layer,
                 const ForwardOptions& options);

}  // namespace corral::model
