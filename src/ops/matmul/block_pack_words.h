#pragma once

// How bytes of B lie in a panel for dot products of four: those of a column side by side, then
// those of the next. For *_isa.cc files.

#include "ops/matmul/block_pack_scales.h"
#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_walk.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Half `half` of a quad of four rows: their bytes 4k to 4k + 3 of a group come to lie side by
/// side.
inline void pack_half(const Panel& panel, int64_t quad, int64_t half, int64_t col, const Bytes& a,
                      const Bytes& b, const Bytes& c, const Bytes& d) {
  Bytes words[4];
  transpose_words(a, b, c, d, words);
  std::byte* to = panel.group_bytes(quad) + (4 * half * kPanelColumns + col) * 4;
  for (int64_t k = 0; k < 4; ++k) {
    store_lanes(to + k * kPanelColumns * 4, panel.quads * kGroup * kPanelColumns, words[k]);
  }
}

/// The bytes of a quad of four rows of B, as columns col to col + 3 of the panel.
template <class Format>
inline void pack_codes(const Panel& panel, int64_t quad, int64_t col, const Codes (&b)[kRowsB]) {
  pack_half(panel, quad, 0, col, b[0].first, b[1].first, b[2].first, b[3].first);
  pack_half(panel, quad, 1, col, b[0].last, b[1].last, b[2].last, b[3].last);
}

/// A group of four rows, a block of each, as columns col to col + 3.
template <class Format>
inline void pack_group(const Panel& panel, int64_t group, int64_t col, RowsAt blocks) {
  const Codes b = Format::codes(LooseBlocks{blocks}, 0);
  std::byte codes[2][kRowsB][16];
  store64(codes[0], b.first);
  store64(codes[1], b.last);
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t k = 0; k < 4; ++k) {
      std::byte* to = panel.group_bytes(group) + ((4 * half + k) * kPanelColumns + col) * 4;
      for (int64_t j = 0; j < kRowsB; ++j) std::memcpy(to + 4 * j, codes[half][j] + 4 * k, 4);
    }
  }
  pack_group_scales<Format>(panel, group, col, blocks);
}

/// A step of the rows of B from col + c to col + c + 3 as columns of the panel, which begins at the
/// quad `first`; behind the last row of B the last is taken again.
template <class Format>
inline void pack_four(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                      int64_t first, int64_t step) {
  each_quad<Format>(
      p, col + c, step,
      [&](int64_t quad, const Codes(&b)[kRowsB], const Scales<Format::kHalves>& scales) {
        pack_codes<Format>(panel, quad - first, c, b);
        pack_scales<Format>(panel, quad - first, c, scales);
      });
}

#if defined(__AVX512F__)

/// Sixteen rows of B, unpacked in whole vectors.
template <class Format>
class SixteenColumns {
 public:
  SixteenColumns(const Panel& panel, int64_t col, const std::byte* step, int64_t row_bytes)
      : panel_(panel), col_(col), rows_{{step, row_bytes}} {}

  /// Part `part` of the step, as quad `quad` of the panel.
  void pack(int64_t quad, int part) const {
    pack_codes<0, 1>(quad, part);
    pack_codes<2, 3>(quad, part);
    rows_.pack_scales(panel_, quad, col_, part);
  }

 private:
  template <int kGroup, int kWord>
  Codes codes(int part) const {
    if constexpr (Format::kStepQuads == 1) {
      return Format::codes(BlockWord<kWord>{{rows_.at}, kGroup * Format::kBlockBytes}, part);
    } else {
      return Format::codes(GroupWord<kGroup, kWord>{{rows_.at}}, part);
    }
  }

  /// Two groups before either is stored, so that bytes which they share are turned once.
  template <int kA, int kB>
  void pack_codes(int64_t quad, int part) const {
    const Codes a[4] = {codes<kA, 0>(part), codes<kA, 1>(part), codes<kA, 2>(part),
                        codes<kA, 3>(part)};
    const Codes b[4] = {codes<kB, 0>(part), codes<kB, 1>(part), codes<kB, 2>(part),
                        codes<kB, 3>(part)};
    store_codes<kA>(quad, a);
    store_codes<kB>(quad, b);
  }
  template <int kGroup>
  void store_codes(int64_t quad, const Codes (&words)[4]) const {
    std::byte* first = panel_.group_bytes(panel_.group(kGroup, quad)) + col_ * 4;
    std::byte* last = first + 4 * kPanelColumns * 4;
#pragma GCC unroll 4
    for (int64_t k = 0; k < 4; ++k) {
      store64(first + k * kPanelColumns * 4, words[k].first);
      store64(last + k * kPanelColumns * 4, words[k].last);
    }
  }

  const Panel& panel_;
  int64_t col_;
  SixteenSteps<Format> rows_;
};

/// A step of the rows of B from col + c to col + c + 15 as columns of the panel, which begins at
/// the quad `first`.
template <class Format>
inline void pack_sixteen(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                         int64_t first, int64_t step) {
  const std::byte* const at = p.b + (col + c) * p.b_row_bytes + step * Format::kStepBytes;
  const SixteenColumns<Format> columns(panel, c, at, p.b_row_bytes);
#pragma GCC unroll 2
  for (int part = 0; part < Format::kStepQuads; ++part) {
    columns.pack(step * Format::kStepQuads + part - first, part);
  }
}

#endif

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
