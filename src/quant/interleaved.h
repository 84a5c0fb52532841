#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/linear_weight.h"

namespace corral::quant {

// Rows that lie interleaved, 32 at a time, in the order in which products multiply them
// (ops/matmul/block_interleaved.h, matmul_interleaved.h): nothing has to be turned when they are
// read. They take the bytes that the 32 rows took:
//   f32   f32 [columns, 32 rows]
//   bf16  bf16 [columns / 2, 32 rows, 2]: two neighbours of a row side by side
//   q8_0  of each group of 32 columns, one after the other,
//         u8 [8, 32 rows, 4]: code + 128, four neighbours of a row side by side
//         f16 [32 rows]: scales
// Weights come to lie so in memory of the process only (model/resident.h); no file has them.

inline constexpr int64_t kInterleavedRows = 32;

/// Whether the weight's rows could be interleaved: whole matrices of one of these types in their
/// order, with a multiple of 32 rows.
bool can_interleave(const LinearWeight& weight);

/// 32 rows of so many columns, one behind the other, interleaved.
void interleave(DType dtype, const std::byte* rows, int64_t columns, std::byte* to);

/// Row `row` of 32 that are interleaved, as it was.
void read_interleaved(DType dtype, const std::byte* interleaved, int64_t row, int64_t columns,
                      std::byte* to);

}  // namespace corral::quant
