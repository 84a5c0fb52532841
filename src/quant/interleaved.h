#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/linear_weight.h"

namespace corral::quant {

// Rows that lie interleaved, 32 at a time, in the order in which products of bytes multiply them
// (ops/matmul/block_interleaved.h): nothing has to be turned when they are read. They take the
// bytes that the 32 rows took. In Q8_0, of each 32 columns, one group after the other:
//   codes   u8 [8, 32 rows, 4]: code + 128, four neighbours of a row side by side
//   scales  f16 [32 rows]
// Weights come to lie so in memory of the process only (model/resident.h); no file has them.

inline constexpr int64_t kInterleavedRows = 32;
inline constexpr int64_t kInterleavedGroupBytes = kInterleavedRows * 34;

/// Whether the weight's rows could be interleaved: whole matrices of Q8_0 in their order, with a
/// multiple of 32 rows.
bool can_interleave(const LinearWeight& weight);

/// 32 rows of so many groups, of which each takes 34 bytes, interleaved.
void interleave_q8_0(const std::byte* rows, int64_t groups, std::byte* to);

/// Row `row` of 32 that are interleaved, as blocks again.
void read_interleaved_q8_0(const std::byte* interleaved, int64_t row, int64_t groups,
                           std::byte* blocks);

}  // namespace corral::quant
