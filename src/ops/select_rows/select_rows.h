#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

// Shape letters: A and B rows of the two sources, R chosen rows, D width.

namespace corral::ops {

/// Rows taken from two tensors, in any order and any number of times:
///
///     y[i, :] = a[rows[i], :]        if rows[i] < A
///               b[rows[i] - A, :]    else
///
/// a_AD  [A, D]  f32.
/// b_BD  [B, D]  f32; may be undefined (B = 0).
/// rows          R indices in [0, A + B).
/// Returns f32 [R, D]. What a model reorders is written with it: a class token put behind the
/// patches, patches gathered for a pixel shuffle, image vectors put where placeholders stood.
/// Throws ShapeError when the widths differ or a source has not two axes, NotSupported for another
/// dtype, UsageError naming the first index out of range. Backward saves the indices; the gradients
/// of one source row are added in the order of i, so they have the same bits for any number of
/// threads.
Tensor select_rows(const Tensor& a_AD, const Tensor& b_BD, std::span<const int64_t> rows);

}  // namespace corral::ops
