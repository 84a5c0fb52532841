#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace corral::ops {

/// The gate of SwiGLU:
///
///     y = silu(gate) * up,    silu(g) = g * sigmoid(g) = g / (1 + e^-g)
///
/// gate, up  f32, the same shape and device; usually [N, F]. y takes gate's memory where
/// autograd::reuse_or_new may.
/// Throws ShapeError when they differ, NotSupported for another dtype.
/// Backward saves gate and up:
///     dgate = dy * up * s * (1 + gate * (1 - s)),  dup = dy * gate * s,  s = sigmoid(gate).
/// Source: Shazeer 2020, arXiv:2002.05202, eq. 5.
Tensor silu_mul(Tensor gate, const Tensor& up);

/// gate[i] = silu(gate[i]) * up[i] for i < n, without a tape and on the calling thread.
void silu_mul_here(const Device& device, float* gate, const float* up, int64_t n);

}  // namespace corral::ops
