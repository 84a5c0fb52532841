#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace corral::io {

/// True for the types that convert() knows: f32, f16, bf16 and the block types.
bool is_convertible(DType dtype);

/// The same values in another type, through f32, rounded to nearest (even for f16 and bf16; block
/// types as quant/block_format.h says). The tensor itself when it has the type already. In parallel
/// on the tensor's device; the result does not depend on the threads. Off the tape. Throws
/// NotSupported for integers, ShapeError when the last axis is not whole blocks of `to`.
Tensor convert(const Tensor& x, DType to);

/// The same for n consecutive elements, whole blocks of both types; `out` holds bytes_of(to, n).
/// importance: weights of the columns' squared errors where `to` is a block type, one for each of a
/// row (then the elements are whole rows), or empty for equal ones.
void convert_elements(DType from, const std::byte* in, DType to, std::byte* out, int64_t n,
                      ThreadPool& threads, std::span<const float> importance = {});

}  // namespace corral::io
