#pragma once

#include "ops/route/route.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// Brings the experts' rows back to their tokens, beside the expert that all share:
///
///     y[t, :] = shared[t, :] + (sum over the rows n of token t, in the order of its experts, of
///                               rows[n, :])
///
/// shared_TD  [T, D]  f32; y takes its memory where autograd::reuse_or_new may.
/// rows_ND    [N, D]  f32, in the order of the routing's rows.
/// Throws ShapeError, NotSupported (not f32). Returns [T, D]. The sum has a fixed order: the same
/// bits for any number of threads. Backward saves nothing but the routing: dshared = dy, drows[n] =
/// dy[token of row n].
Tensor combine(Tensor shared_TD, const Tensor& rows_ND, const Routing& routing);

}  // namespace corral::ops
