#pragma once

#include "tensor/tensor.h"

namespace corral::ops {

/// Normalisation of mean and variance over the last axis.
///
///     y[n, d] = (x[n, d] - m[n]) r[n] w[d] + b[d]
///     m[n] = mean_d(x[n, d]),   r[n] = 1 / sqrt(mean_d((x[n, d] - m[n])^2) + eps)
///
/// x         [..., D]  f32.
/// w_D, b_D  [D]       f32.
/// eps                 >= 0, inside the root.
/// Returns the shape of x. The variance is summed from differences, so a large mean costs no
/// precision. Throws ShapeError if x is a scalar or w or b does not match D, NotSupported for
/// another dtype. Backward saves x, w, and m and r of each row:
///     dx = r (g - mean_d(g) - xn mean_d(g xn))  with g = dy w, xn = (x - m) r;
///     dw = sum_n dy xn,  db = sum_n dy,
/// these two over blocks of 128 rows in row order, then over the blocks in order, so they have the
/// same bits for any number of threads. Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, eq. 4.
Tensor layer_norm(const Tensor& x, const Tensor& w_D, const Tensor& b_D, float eps);

}  // namespace corral::ops
