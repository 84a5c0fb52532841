#pragma once

#include "tensor/tensor.h"

namespace corral::ops {

/// y[n, d] = x[n, d] + b[d], a row at a time.
///
/// x    [..., D]  f32.
/// b_D  [D]       f32.
/// Returns the shape of x. Throws ShapeError if x is a scalar or b does not match D, NotSupported
/// for another dtype. Backward saves nothing: dx is dy itself; db is summed over blocks of 128 rows
/// in row order, then over the blocks in order, so it has the same bits for any number of threads.
Tensor add_bias(const Tensor& x, const Tensor& b_D);

}  // namespace corral::ops
