#pragma once

// How bytes of B lie in a panel for the tiles of AMX: the 32 of a column's group side by side, a
// row of a tile, as B itself has them. For *_amx.cc files.

#include "ops/matmul/block_pack_scales.h"
#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_walk.h"
#include "ops/matmul/block_whole.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// The bytes of a quad of a row of B, part `part` of the step at `at`, as column `col` of the
/// panel.
template <class Format>
inline void pack_row(const Panel& panel, int64_t quad, int64_t col, const std::byte* at, int part) {
  const Codes groups = whole_groups<Format>(at, part);
  const auto put = [&](int64_t group, const Bytes& two) {
    std::byte* const to = panel.group_bytes(panel.group(group, quad)) + col * kGroup;
    const auto bytes = reinterpret_cast<__m512i>(tile_bytes<Format>(two).part[0]);
    const __m256i low = _mm512_maskz_extracti64x4_epi64(0xF, bytes, 0);
    const __m256i high = _mm512_maskz_extracti64x4_epi64(0xF, bytes, 1);
    std::memcpy(to, &low, sizeof(low));
    std::memcpy(to + panel.quads * kGroup * kPanelColumns, &high, sizeof(high));
  };
  put(0, groups.first);
  put(2, groups.last);
}

/// A group of four rows, a block of each, as columns col to col + 3.
template <class Format>
inline void pack_group(const Panel& panel, int64_t group, int64_t col, RowsAt blocks) {
  const Codes rows = Format::codes(WholeBlocks<Format, LooseBlocks>{{blocks}}, 0);
  std::byte* const to = panel.group_bytes(group) + col * kGroup;
  store64(to, tile_bytes<Format>(rows.first));
  store64(to + 64, tile_bytes<Format>(rows.last));
  pack_group_scales<Format>(panel, group, col, blocks);
}

/// A step of the rows of B from col + c to col + c + 15 as columns of the panel, which begins at
/// the quad `first`.
template <class Format>
inline void pack_sixteen(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                         int64_t first, int64_t step) {
  const std::byte* const at = p.b + (col + c) * p.b_row_bytes + step * Format::kStepBytes;
  const SixteenSteps<Format> rows{{at, p.b_row_bytes}};
  for (int part = 0; part < Format::kStepQuads; ++part) {
    const int64_t quad = step * Format::kStepQuads + part - first;
    for (int64_t j = 0; j < 16; ++j) {
      pack_row<Format>(panel, quad, c + j, at + j * p.b_row_bytes, part);
    }
    rows.pack_scales(panel, quad, c, part);
  }
}

/// The same of four rows; behind the last row of B the last is taken again.
template <class Format>
inline void pack_four(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                      int64_t first, int64_t step) {
  const RowWalk<Format> rows(p, col + c);
  const std::byte* const at[kRowsB] = {rows.row_of(0, step), rows.row_of(1, step),
                                       rows.row_of(2, step), rows.row_of(3, step)};
  for (int part = 0; part < Format::kStepQuads; ++part) {
    const int64_t quad = step * Format::kStepQuads + part - first;
    for (int64_t j = 0; j < kRowsB; ++j) pack_row<Format>(panel, quad, c + j, at[j], part);
    pack_scales<Format>(panel, quad, c, whole_scales<Format>(at, part));
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
