#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "quant/linear_weight.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// The linear layers of a mixture of experts: every group of rows has a matrix of its own.
///
///     y[n] = W[e] x[n]    for offsets[e] <= n < offsets[e + 1]
///
/// x_NK     [N, K]   f32; rows sorted by expert.
/// w        E matrices of F outputs and K inputs, of any weight type and layout.
/// offsets  [E + 1]  ascending from 0 to N: where each expert's rows begin.
/// Returns [N, F], f32. A row of y depends on its row of x and its expert alone, bit for bit. The
/// memory of experts without rows is not touched: they may lie in a mapped file on disk. Throws
/// ShapeError when K or the number of experts differs, when the offsets do not ascend from 0 to N,
/// or when w lies beyond its data; NotSupported when x is not f32. Backward: dx = dy W[e], dW[e] +=
/// dy^T x in place at the weight's own strides, both in `precision` with f32 sums; keeps x, w and
/// the offsets. A block-quantized w has neither: NotSupported if one is needed.
Tensor grouped_linear(const Tensor& x_NK, const quant::LinearWeight& w,
                      std::span<const int64_t> offsets, quant::Precision precision);

/// What grouped_linear() takes. An expert that all rows go to is a layer of one matrix.
struct GroupedLayer {
  const Tensor& x_NK;
  const quant::LinearWeight& w;
  std::span<const int64_t> offsets;
};

/// grouped_linear() of each layer, into outputs of the same number.
void grouped_linear_each(std::span<const GroupedLayer> layers, quant::Precision precision,
                         std::span<Tensor> outputs);

/// grouped_linear() of each layer: the same values and gradients. Few rows without a tape are one
/// call for all threads, which wait for one another once.
template <size_t kCount>
std::array<Tensor, kCount> grouped_linear(const GroupedLayer (&layers)[kCount],  // NOLINT
                                          quant::Precision precision) {
  std::array<Tensor, kCount> outputs;
  grouped_linear_each(layers, precision, outputs);
  return outputs;
}

}  // namespace corral::ops
