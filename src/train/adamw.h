#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace corral::train {

/// Constants of the optimizer; the learning rate comes with every step.
struct AdamwOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-15;
  double weight_decay = 0.1;
};

/// A tensor that the optimizer owns the moments of.
struct OptimizedTensor {
  std::string name;
  Tensor value;  // f32 leaf of the tape
  bool decay = false;
  double rate_scale = 1;  // times the learning rate (and so times the decay)
};

/// AdamW with decoupled weight decay, one pass over parameter, moments and gradient:
///
///     p <- p (1 - lr wd)                     only where decay is set
///     m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
///     p <- p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
///
/// in f32, element by element, so the result does not depend on the number of threads. Every tensor
/// is updated at every step: experts that no token chose decay and coast on their momentum too. A
/// tensor without a gradient counts as one with gradient zero.
/// Source: Loshchilov & Hutter 2019, arXiv:1711.05101.
class Adamw {
 public:
  /// Throws UsageError for constants out of range, NotSupported for values that are not f32 or not
  /// writable. All moments start at zero.
  Adamw(std::vector<OptimizedTensor> tensors, const AdamwOptions& options);

  /// One update of all tensors in place from the gradients on their leaves, each times
  /// gradient_scale.
  void step(double learning_rate, double gradient_scale = 1);

  const std::vector<OptimizedTensor>& tensors() const { return tensors_; }
  int64_t steps() const { return steps_; }
  /// First and second moments in the order of the tensors.
  const std::vector<Tensor>& first_moments() const { return m_; }
  const std::vector<Tensor>& second_moments() const { return v_; }
  /// Continues after `steps` updates that left these moments; throws ShapeError when they do not
  /// fit. The values are copied.
  void restore(int64_t steps, const std::vector<Tensor>& first, const std::vector<Tensor>& second);

 private:
  std::vector<OptimizedTensor> tensors_;
  AdamwOptions options_;
  std::vector<Tensor> m_;
  std::vector<Tensor> v_;
  int64_t steps_ = 0;
};

}  // namespace corral::train
