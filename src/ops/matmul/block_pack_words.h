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
  each_quad<Format>(p, col + c, step, [&](int64_t quad, const auto& codes, const auto& scales) {
    pack_codes<Format>(panel, quad - first, c, {codes(0), codes(1), codes(2), codes(3)});
    pack_scales<Format>(panel, quad - first, c, scales());
  });
}

#if defined(__AVX2__)

/// Sixteen rows of B, unpacked in whole vectors.
template <class Format>
class SixteenColumns {
 public:
  SixteenColumns(const Panel& panel, int64_t col, const std::byte* step, int64_t row_bytes)
      : panel_(panel), col_(col), rows_{{step, row_bytes}} {}

  /// Part `part` of the step, as quad `quad` of the panel.
  void pack(int64_t quad, int part) const {
    if constexpr (kParts == 1) {
      pack_codes<0, Format::kPartner>(quad, part);
      pack_codes<3 - Format::kPartner, 3>(quad, part);
    } else if constexpr (Format::kStepQuads == 1) {
      pack_codes<0>(quad, part);
      pack_codes<1>(quad, part);
      pack_codes<2>(quad, part);
      pack_codes<3>(quad, part);
    } else {
      pack_halves<&Codes::first>(quad, 0, part);
      pack_halves<&Codes::last>(quad, 1, part);
    }
    rows_.pack_scales(panel_, quad, col_, part);
  }

 private:
  /// Words 0 to 3 of 16 bytes, or of both halves of a group.
  template <class T>
  struct Words {
    T word[4];
  };
  static constexpr int64_t kHalfBytes = 16 * kPanelColumns;

  template <int kGroup, int kWord>
  Codes codes(int part) const {
    if constexpr (Format::kStepQuads == 1) {
      return Format::codes(BlockWord<kWord>{{rows_.at}, kGroup * Format::kBlockBytes}, part);
    } else {
      return Format::codes(GroupWord<kGroup, kWord>{{rows_.at}}, part);
    }
  }
  template <int kGroup>
  std::byte* place(int64_t quad) const {
    return panel_.group_bytes(panel_.group(kGroup, quad)) + col_ * 4;
  }
  static void store_word(std::byte* half, int64_t k, const Bytes& word) {
    store64(half + k * kPanelColumns * 4, word);
  }

  /// Groups before any of them is stored, so that bytes which they share are turned once.
  template <int... kGroups>
  void pack_codes(int64_t quad, int part) const {
    const Words<Codes> all[] = {{{codes<kGroups, 0>(part), codes<kGroups, 1>(part),
                                  codes<kGroups, 2>(part), codes<kGroups, 3>(part)}}...};
    std::byte* const to[] = {place<kGroups>(quad)...};
#pragma GCC unroll 2
    for (size_t g = 0; g < sizeof...(kGroups); ++g) {
#pragma GCC unroll 4
      for (int64_t k = 0; k < 4; ++k) {
        store_word(to[g], k, all[g].word[k].first);
        store_word(to[g] + kHalfBytes, k, all[g].word[k].last);
      }
    }
  }

  /// The first or the last halves of the groups, two at a time, and one register of their vectors
  /// after the other: there is room for no more.
  template <Bytes Codes::*kHalf>
  void pack_halves(int64_t quad, int64_t half, int part) const {
#pragma GCC unroll 2
    for (int i = 0; i < kParts; ++i) {
      pack_half<kHalf, 0, Format::kPartner>(quad, half, part, i);
      pack_half<kHalf, 3 - Format::kPartner, 3>(quad, half, part, i);
    }
  }
  template <Bytes Codes::*kHalf, int... kGroups>
  void pack_half(int64_t quad, int64_t half, int part, int i) const {
    const Words<Bytes> all[] = {
        {{codes<kGroups, 0>(part).*kHalf, codes<kGroups, 1>(part).*kHalf,
          codes<kGroups, 2>(part).*kHalf, codes<kGroups, 3>(part).*kHalf}}...};
    std::byte* const to[] = {place<kGroups>(quad)...};
#pragma GCC unroll 2
    for (size_t g = 0; g < sizeof...(kGroups); ++g) {
#pragma GCC unroll 4
      for (int64_t k = 0; k < 4; ++k) {
        std::byte* const word = to[g] + half * kHalfBytes + k * kPanelColumns * 4;
        simd::CORRAL_ISA::store(word + i * simd::CORRAL_ISA::kVectorBytes, all[g].word[k].part[i]);
      }
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
