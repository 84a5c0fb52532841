#pragma once

#include "tensor/tensor.h"

namespace corral::ops {

/// y = a + b, element by element.
///
/// a, b  f32, the same shape and device. y takes a's memory where autograd::reuse_or_new may.
/// Throws ShapeError when they differ, NotSupported for another dtype.
/// Backward saves nothing: both inputs get dy.
Tensor add(Tensor a, const Tensor& b);

}  // namespace corral::ops
