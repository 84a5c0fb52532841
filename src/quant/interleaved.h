#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/linear_weight.h"

namespace corral::quant {

// Rows that lie interleaved, R at a time, in the order in which the products of an instruction set
// multiply them (ops/matmul/block_interleaved.h, matmul_interleaved.h): nothing has to be turned
// when they are read. They take the bytes that the R rows took:
//   f32   f32 [columns, R]
//   bf16  bf16 [columns / 2, R, 2]: two neighbours of a row side by side
//   q8_0  of each group of 32 columns, one after the other,
//         i8, or u8 code + 128, [8, R, 4]: four neighbours of a row side by side
//         f16 [R]: scales
// Weights come to lie so in memory of the process only (model/resident.h); no file has them.

/// Whether the weight's rows could be interleaved: whole matrices of one of these types in their
/// order, with a multiple of so many rows.
bool can_interleave(const LinearWeight& weight, const Interleaving& how);

/// As many rows of so many columns, one behind the other, interleaved.
void interleave(DType dtype, const Interleaving& how, const std::byte* rows, int64_t columns,
                std::byte* to);

/// Row `row` of those that are interleaved, as it was.
void read_interleaved(DType dtype, const Interleaving& how, const std::byte* interleaved,
                      int64_t row, int64_t columns, std::byte* to);

}  // namespace corral::quant
