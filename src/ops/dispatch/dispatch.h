#pragma once

#include "ops/route/route.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// Gathers the rows that the experts work on, sorted by expert:
///
///     rows[n, :] = scores[n] * x[token of row n, :]
///
/// Llama 4 multiplies the expert's *input* by the score; the output is added as it is. (SwiGLU is
/// not homogeneous, so weighting the output is another function.)
///
/// x_TD      [T, D]  f32.
/// scores_N  [N]     f32, in the order of the routing's rows.
/// Throws ShapeError when they do not fit the routing. x is only read.
/// Backward saves x and scores: dx[t] = sum over the token's rows of s[n] drows[n], in the order of
/// its experts; ds[n] = <drows[n], x[t]>. Same bits for any number of threads.
/// Source: `Experts` and `MoE` in models/llama4/moe.py of meta-llama/llama-models.
Tensor dispatch(const Tensor& x_TD, const Tensor& scores_N, const RoutingPtr& routing);

}  // namespace corral::ops
