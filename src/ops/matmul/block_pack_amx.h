#pragma once

// How bytes of B lie in a panel for the tiles of AMX: the 32 of a column's group side by side, a
// row of a tile, as B itself has them. For *_amx.cc files.

#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_sixteen.h"
#include "ops/matmul/block_walk.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// What is written of a panel lies together if a step of all columns comes after the other.
constexpr bool kAllColumnsAStep = true;

/// Bytes of B as tiles take them, signed ones as well as unsigned ones: what was added to make them
/// unsigned is taken back at once.
template <class Format>
inline Bytes tile_bytes(const Bytes& b) {
  if constexpr (Format::kOffset == 0) return b;
  return {{b.part[0] - static_cast<uint8_t>(Format::kOffset)}};
}

/// The bytes of a quad of four rows of B, as columns col to col + 3 of the panel.
template <class Format>
inline void pack_codes(const Panel& panel, int64_t quad, int64_t col, const Codes (&b)[kRowsB]) {
  const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
#pragma GCC unroll 4
  for (int64_t j = 0; j < kRowsB; ++j) {
    const auto first = reinterpret_cast<__m512i>(tile_bytes<Format>(b[j].first).part[0]);
    const auto last = reinterpret_cast<__m512i>(tile_bytes<Format>(b[j].last).part[0]);
    const auto put = [&](int64_t group, __m256i bytes) {
      std::byte* const to = panel.group_bytes(panel.group(group, quad));
      std::memcpy(to + (col + j) * kGroup, &bytes, sizeof(bytes));
    };
    const __m512i groups_0_and_1 = _mm512_permutex2var_epi64(first, low, last);
    const __m512i groups_2_and_3 = _mm512_permutex2var_epi64(first, high, last);
    put(0, _mm512_maskz_extracti64x4_epi64(0xF, groups_0_and_1, 0));
    put(1, _mm512_maskz_extracti64x4_epi64(0xF, groups_0_and_1, 1));
    put(2, _mm512_maskz_extracti64x4_epi64(0xF, groups_2_and_3, 0));
    put(3, _mm512_maskz_extracti64x4_epi64(0xF, groups_2_and_3, 1));
  }
}

/// The bytes of a group of four rows, which a lane of codes each has, as columns col to col + 3.
template <class Format>
inline void pack_group_codes(const Panel& panel, int64_t group, int64_t col, const Codes& b) {
  std::byte codes[2][kRowsB][16];
  store64(codes[0], tile_bytes<Format>(b.first));
  store64(codes[1], tile_bytes<Format>(b.last));
  for (int64_t j = 0; j < kRowsB; ++j) {
    std::byte* const to = panel.group_bytes(group) + (col + j) * kGroup;
    std::memcpy(to, codes[0][j], sizeof(codes[0][j]));
    std::memcpy(to + 16, codes[1][j], sizeof(codes[1][j]));
  }
}

/// A step of the rows of B from col + c to col + c + 15 as columns of the panel, which begins at
/// the quad `first`.
template <class Format>
inline void pack_sixteen(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                         int64_t first, int64_t step) {
  for (int64_t four = c; four < c + 16; four += kRowsB) {
    each_quad<Format>(p, col + four, step, [&](int64_t quad, const Codes(&b)[kRowsB], const auto&) {
      pack_codes<Format>(panel, quad - first, four, b);
    });
  }
  const std::byte* const at = p.b + (col + c) * p.b_row_bytes + step * Format::kStepBytes;
  const SixteenSteps<Format> rows(at, p.b_row_bytes);
  for (int part = 0; part < Format::kStepQuads; ++part) {
    rows.template pack_scales<SixteenRowsOfFields>(panel, step * Format::kStepQuads + part - first,
                                                   c, part);
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
