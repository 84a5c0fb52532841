#pragma once

#include <array>
#include <functional>
#include <span>

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

/// Weights of layers that read the same x.
using LinearWeights = std::span<const std::reference_wrapper<const quant::LinearWeight>>;

/// linear() of each weight, into outputs of the same number.
void linear_each(const Tensor& x_TK, LinearWeights weights, quant::Precision precision,
                 std::span<Tensor> outputs);

/// linear() of each weight: the same values and gradients. Without a tape it is one call for all
/// threads, and x is rounded once for weights in blocks.
template <size_t kCount>
std::array<Tensor, kCount> linear(
    const Tensor& x_TK,
    const std::reference_wrapper<const quant::LinearWeight> (&weights)[kCount],  // NOLINT
    quant::Precision precision) {
  std::array<Tensor, kCount> outputs;
  linear_each(x_TK, weights, precision, outputs);
  return outputs;
}

}  // namespace corral::ops
