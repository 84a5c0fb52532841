#pragma once

// Shape letters: T tokens of the packed batch, H heads (of queries, or K of keys), C head size.

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "ops/rope/rope_frequencies.h"
#include "tensor/tensor.h"

namespace corral::ops {

/// Rotary position embedding (Su et al. 2021) of neighbouring pairs, as Llama 4 orders them:
///     (y[2j], y[2j+1]) = (x[2j] cos - x[2j+1] sin, x[2j] sin + x[2j+1] cos) of p frequency[j].
/// x: f32 [T, H, C]; y takes its memory where autograd::reuse_or_new may. positions: T, each at
/// least 0. period > 0: p is position modulo period, which changes no score between positions of
/// one chunk of that size and stays exact at ten million; period 0: p is the position. Each element
/// is one product and one multiply-add. Keeps nothing but the positions for backward (the inverse
/// rotation). Throws ShapeError, NotSupported (not f32), UsageError (positions, period).
Tensor rope(Tensor x_THC, std::span<const int64_t> positions, const RopeFrequencies& f,
            int64_t period);

/// The same of queries and keys at the same positions.
std::pair<Tensor, Tensor> rope(Tensor q_THC, Tensor k_TKC, std::span<const int64_t> positions,
                               const RopeFrequencies& f, int64_t period);

/// The same rotation by the angles of row rows[t] of a table: for positions that are not numbers,
/// like the patches of an image (rope_table_2d). Throws as above, UsageError for a row that the
/// table has not.
Tensor rope(Tensor x_THC, std::span<const int64_t> rows, std::shared_ptr<const RopeTable> table);

}  // namespace corral::ops
