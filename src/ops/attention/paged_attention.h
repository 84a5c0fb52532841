#pragma once

// Shape letters: T tokens of the packed batch, H query heads, K kv heads, C head size.

#include "kv/batch.h"
#include "kv/kv_cache.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// Attention through a KV cache: writes the batch's keys and values into the layer's pages, then
/// each row attends to what the pages hold of its sequence, from span.first_visible(its position)
/// to itself. Shapes, scale and order of arithmetic are those of attention(); with f32 pages a row
/// has the bits that attention() over the whole sequence gives it, however the sequence was cut
/// into batches and whatever else is in them. In pages of other types keys and values are rounded,
/// and the same holds between all cuts (docs/decisions/0008, 0016).
///
/// `queries`: the rows of the batch that q holds and the result is of, where it is not all of them
/// (Batch::of_rows); keys and values of all rows are written in any case.
///
/// The batch was prepared by the cache and is not yet committed. Not differentiable: throws
/// NotSupported when the inputs are on the tape. Throws UsageError when pages are missing, when
/// span is not the layer's, or heads are not the layout's.
Tensor paged_attention(const Tensor& q_THC, const Tensor& k_TKC, const Tensor& v_TKC,
                       kv::KvLayerView layer, const kv::Batch& batch, kv::AttentionSpan span,
                       float scale, const kv::Batch* queries = nullptr);

}  // namespace corral::ops
