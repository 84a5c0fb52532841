#pragma once

#include "quant/linear_weight.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// A linear layer without bias.
///
///     y[t, n] = sum_k x[t, k] W[n, k]
///
/// x_TK  [..., K]  f32.
/// w               one matrix of N outputs and K inputs, of any weight type and layout.
/// Returns [..., N], f32. A row of y depends on its row of x alone, bit for bit (matmul.h).
/// Throws ShapeError when K differs or w is a stack or lies beyond its data, NotSupported when x is
/// not f32. Backward: dx = dy W, dW += dy^T x in place, at the weight's own strides, both in
/// `precision` with f32 sums; keeps x and w. A block-quantized w has neither: NotSupported if one
/// is needed.
Tensor linear(const Tensor& x_TK, const quant::LinearWeight& w, quant::Precision precision);

}  // namespace corral::ops
