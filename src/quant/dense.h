#pragma once

#include <cstdint>

#include "quant/linear_weight.h"

namespace corral::quant {

/// Matrix `index` of the stack as plain f32 [out_features, in_features], whatever its type and
/// layout: for conversion and inspection, not for computing. Off the tape.
Tensor dense_f32(const LinearWeight& weight, int64_t index = 0);

/// to[k * stride + n] = matrix[n, k] for an f32 matrix [N, K]; N <= stride.
void transpose(const Tensor& matrix_NK, float* to, int64_t stride);

}  // namespace corral::quant
