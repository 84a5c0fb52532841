#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/tensor.h"

namespace corral::train {

/// The length of all gradients taken as one vector.
struct GradientNorm {
  double norm = 0;
  /// The first tensor that holds a NaN or an infinity.
  std::optional<size_t> not_finite;
};

/// sqrt of the sum of squares over all f32 tensors; undefined ones count as zero. Squares and sums
/// are f64, in blocks of fixed size added in order: the same bits for any number of threads and any
/// instruction set. f64 cannot overflow here, so a norm that is not finite means such a value.
GradientNorm gradient_norm(const std::vector<Tensor>& gradients);

/// The factor that brings a gradient of this norm to at most max_norm: 1 when it is already there
/// or max_norm is 0 (no clipping).
double clip_scale(double norm, double max_norm);

}  // namespace corral::train
