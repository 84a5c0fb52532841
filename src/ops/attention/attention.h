#pragma once

// Shape letters: T tokens of the packed batch, H query heads, K kv heads, C head size.

#include "kv/batch.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// Attention inside each segment of a packed batch, without a cache, causal unless span says else:
///     out[t, h] = sum over s of softmax_s(scale q[t, h] . k[s, h / (H / K)]) v[s, h / (H / K)]
/// where s runs over the rows of t's segment at positions from span.first_visible(position of t) to
/// t's own, or over all of them when the span is not causal (an image tower: a segment a tile).
/// f32; q [T, H, C], k and v [T, K, C], H a multiple of K; any C (a multiple of 16 is not copied).
/// scale is positive, usually 1 / sqrt(C). Segments cover all rows in order.
///
/// Memory is linear in T: no score outlives its tile. A row's bits depend only on its own query,
/// the keys and values it sees, and the instruction set; paged_attention gives the same
/// (docs/decisions/0008). Gradients are the same bits for any number of threads.
/// Keeps for backward: q, k, v, the result and one number a row and head.
/// Throws ShapeError, NotSupported (not f32), UsageError (scale, span).
/// Source: Llama 4, models/llama4/model.py in meta-llama/llama-models; Dao 2023 (FlashAttention-2).
Tensor attention(const Tensor& q_THC, const Tensor& k_TKC, const Tensor& v_TKC,
                 const kv::Batch& batch, kv::AttentionSpan span, float scale);

}  // namespace corral::ops
