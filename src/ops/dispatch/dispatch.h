#pragma once

#include "ops/route/route.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// Gathers the rows that the experts work on, sorted by expert:
///
///     rows[n, :] = sigmoid(logits[t, e]) * x[t, :]    for row n of token t and expert e
///
/// Llama 4 multiplies the expert's *input* by the score; the output is added as it is. (SwiGLU is
/// not homogeneous, so weighting the output is another function.) Sigmoid, not softmax: experts do
/// not compete.
///
/// x_TD       [T, D]  f32; only read.
/// logits_TE  [T, E]  f32, of the router; T and E those of the routing.
/// Throws ShapeError when they do not fit the routing, NotSupported when they are not f32.
/// Backward saves x, logits and the routing. With s the score of row n:
///     dx[t] = sum over the token's rows of s drows[n], in the order of its experts;
///     dlogits[t, e] = s (1 - s) <drows[n], x[t]>, zero for an expert that was not chosen.
/// Same bits for any number of threads.
/// Source: `Experts` and `MoE` in models/llama4/moe.py of meta-llama/llama-models.
Tensor dispatch(const Tensor& x_TD, const Tensor& logits_TE, const Routing& routing);

}  // namespace corral::ops
