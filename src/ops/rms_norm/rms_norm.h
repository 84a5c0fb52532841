#pragma once

#include "tensor/tensor.h"

namespace corral::ops {

/// Root-mean-square normalisation over the last axis.
///
///     y[n, d] = x[n, d] * r[n] * w[d],    r[n] = 1 / sqrt(mean_d(x[n, d]^2) + eps)
///
/// x    [..., D]  f32. y takes its memory where autograd::reuse_or_new may.
/// w_D  [D]       f32; null for Llama 4's QK norm (which its papers call "L2 norm": it is this,
/// with
///                the mean, without a weight).
/// eps            >= 0, inside the root.
/// Returns the shape of x. Throws ShapeError if x is a scalar or w does not match D, NotSupported
/// for another dtype. Backward saves x, w and r_N. dw is summed over blocks of 128 rows in row
/// order, then over the blocks in order, so it has the same bits for any number of threads. Source:
/// Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4.
Tensor rms_norm(Tensor x, const Tensor* w_D, float eps);

}  // namespace corral::ops
