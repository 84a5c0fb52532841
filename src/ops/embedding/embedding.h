#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace corral::ops {

/// Looks tokens up in a table: y[t, :] = table[tokens[t], :].
///
/// tokens    T ids, each in [0, V).
/// table_VD  [V, D]  f32, f16, bf16 or blocks.
/// Returns f32 [T, D]. Throws ShapeError if the table has not two axes, NotSupported for another
/// dtype, Error naming the first id that is outside of the vocabulary.
/// Backward saves the tokens. The rows of one id are added in the order of their tokens, so the
/// gradient has the same bits for any number of threads.
Tensor embedding(std::span<const int32_t> tokens, const Tensor& table_VD);

}  // namespace corral::ops
