#pragma once

// Shape letters: T tokens of the packed batch, H query heads, C head size.

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace corral::ops {

/// The factor at a position: 1 + attn_scale ln(1 + floor((position + 1) / floor_scale)).
float attention_temperature_factor(int64_t position, float attn_scale, float floor_scale);

/// Sharpens the attention of far queries in layers without position embedding:
///     y[t] = q[t] (1 + attn_scale ln(1 + floor((positions[t] + 1) / floor_scale)))
/// f32; q and y [T, ...], positions: T, in the sequence (not in the batch), each at least 0.
/// Returns q itself when all factors are 1, as for all positions below floor_scale - 1; otherwise y
/// takes q's memory where autograd::reuse_or_new may. Keeps the factors for backward. Throws
/// ShapeError, NotSupported (not f32), UsageError (floor_scale below 1). Source: Llama 4,
/// models/llama4/model.py in meta-llama/llama-models, after arXiv:2501.19399.
Tensor attention_temperature(Tensor q_THC, std::span<const int64_t> positions, float attn_scale,
                             float floor_scale);

}  // namespace corral::ops
