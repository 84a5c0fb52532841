#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "quant/linear_weight.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// The hidden values of a SwiGLU MLP:
///
///     h = silu(x W_gate^T) * (x W_up^T)
///
/// the values and gradients of linear() and silu_mul(). Without a tape all of it is one call for
/// all threads: who ends a part of both products makes it h.
///
/// x_TK      [T, K]  f32.
/// gate, up  one matrix each of F outputs and K inputs, of any weight type and layout.
/// Returns [T, F], f32. Throws as linear(), and ShapeError when gate and up differ in size.
/// Source: Shazeer 2020, arXiv:2002.05202, eq. 6.
Tensor swiglu(const Tensor& x_TK, const quant::LinearWeight& gate, const quant::LinearWeight& up,
              quant::Precision precision);

/// The same for rows sorted by expert, each with matrices of its own: grouped_linear.h says what
/// the offsets are, [E + 1], and what is thrown.
Tensor grouped_swiglu(const Tensor& x_NK, const quant::LinearWeight& gate,
                      const quant::LinearWeight& up, std::span<const int64_t> offsets,
                      quant::Precision precision);

/// What grouped_swiglu() takes. An expert that all rows go to is a layer of one pair of matrices.
struct GroupedSwiglu {
  const Tensor& x_NK;
  const quant::LinearWeight& gate;
  const quant::LinearWeight& up;
  std::span<const int64_t> offsets;
};

/// grouped_swiglu() of each layer, into outputs of the same number.
void grouped_swiglu_each(std::span<const GroupedSwiglu> layers, quant::Precision precision,
                         std::span<Tensor> outputs);

/// grouped_swiglu() of each layer: the same values and gradients. Few rows without a tape are one
/// call for all threads, which wait for one another once.
template <size_t kCount>
std::array<Tensor, kCount> grouped_swiglu(const GroupedSwiglu (&layers)[kCount],  // NOLINT
                                          quant::Precision precision) {
  std::array<Tensor, kCount> outputs;
  grouped_swiglu_each(layers, precision, outputs);
  return outputs;
}

}  // namespace corral::ops
