#pragma once

// Unpacks B into panels. For *_isa.cc files.

#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_walk.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Lane g of v goes to `to` + g * stride.
template <class V>
inline void store_lanes(std::byte* to, int64_t stride, const V& v) {
#if defined(__AVX512F__)
  const auto all = reinterpret_cast<__m512i>(v.part[0]);
  const auto put = [&](int64_t g, __m128i lane) {
    std::memcpy(to + g * stride, &lane, sizeof(lane));
  };
  put(0, _mm512_maskz_extracti32x4_epi32(0xF, all, 0));
  put(1, _mm512_maskz_extracti32x4_epi32(0xF, all, 1));
  put(2, _mm512_maskz_extracti32x4_epi32(0xF, all, 2));
  put(3, _mm512_maskz_extracti32x4_epi32(0xF, all, 3));
#elif defined(__ARM_NEON)
  for (int64_t g = 0; g < 4; ++g) simd::CORRAL_ISA::store(to + g * stride, v.part[g]);
#else
  std::byte lanes[4][16];
  store64(lanes, v);
  for (int64_t g = 0; g < 4; ++g) std::memcpy(to + g * stride, lanes[g], sizeof(lanes[g]));
#endif
}

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

/// The scales of four rows of a quad of B, as columns col to col + 3 of the panel.
template <class Format>
inline void pack_scales(const Panel& panel, int64_t quad, int64_t col,
                        const Scales<Format::kHalves>& scales) {
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  const int64_t stride = panel.quads * kHalves * kPanelColumns * 4;
  for (int64_t h = 0; h < kHalves; ++h) {
    const int64_t at = (quad * kHalves + h) * kPanelColumns + col;
    store_lanes(reinterpret_cast<std::byte*>(panel.scale + at), stride, scales.scale[h]);
    if constexpr (Format::kMinimum) {
      store_lanes(reinterpret_cast<std::byte*>(panel.minimum + at), stride, scales.minimum[h]);
    }
  }
}

/// Four rows of a quad of B, as columns col to col + 3 of the panel.
template <class Format>
inline void pack_quad(const Panel& panel, int64_t quad, int64_t col, const Codes (&b)[kRowsB],
                      const Scales<Format::kHalves>& scales) {
  const auto bytes = [](const Bytes& x) { return panel_bytes<Format>(x); };
  pack_half(panel, quad, 0, col, bytes(b[0].first), bytes(b[1].first), bytes(b[2].first),
            bytes(b[3].first));
  pack_half(panel, quad, 1, col, bytes(b[0].last), bytes(b[1].last), bytes(b[2].last),
            bytes(b[3].last));
  pack_scales<Format>(panel, quad, col, scales);
}

/// One group of four rows, which a lane of codes each has, as columns col to col + 3.
template <class Format>
inline void pack_group(const Panel& panel, int64_t group, int64_t col, const Codes& b,
                       const BlockScales& scales) {
  std::byte codes[2][kRowsB][16];
  store64(codes[0], panel_bytes<Format>(b.first));
  store64(codes[1], panel_bytes<Format>(b.last));
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t k = 0; k < 4; ++k) {
      std::byte* to = panel.group_bytes(group) + ((4 * half + k) * kPanelColumns + col) * 4;
      for (int64_t j = 0; j < kRowsB; ++j) std::memcpy(to + 4 * j, codes[half][j] + 4 * k, 4);
    }
  }
  simd::CORRAL_ISA::store(panel.scale + group * kPanelColumns + col, scales.scale);
  if constexpr (Format::kMinimum) {
    simd::CORRAL_ISA::store(panel.minimum + group * kPanelColumns + col, scales.minimum);
  }
}

/// Unpacks `quads` quads, from the quad `first` on, of the four rows of B from col + c, as columns
/// c to c + 3 of the panel.
template <class Format>
inline void pack_four(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                      int64_t first, int64_t quads) {
  const auto put = [&](int64_t quad, const Codes(&b)[kRowsB],
                       const Scales<Format::kHalves>& scales) {
    pack_quad<Format>(panel, quad - first, c, b, scales);
  };
  RowWalk<Format>(p, col + c, 0).whole_quads(first, quads, put);
}

#if defined(__AVX512F__)

/// Element j of lane g of the i-th of a, b, c and d becomes element 4i + j of group g.
inline GroupFloats by_group(const Floats& a, const Floats& b, const Floats& c, const Floats& d) {
  const auto pick = []<int kOrder>(const Floats& x, const Floats& y) -> Floats {
    return {{reinterpret_cast<F32>(
        _mm512_maskz_shuffle_f32x4(0xFFFF, reinterpret_cast<__m512>(x.part[0]),
                                   reinterpret_cast<__m512>(y.part[0]), kOrder))}};
  };
  const Floats ab_low = pick.template operator()<0x44>(a, b);
  const Floats ab_high = pick.template operator()<0xEE>(a, b);
  const Floats cd_low = pick.template operator()<0x44>(c, d);
  const Floats cd_high = pick.template operator()<0xEE>(c, d);
  return {{pick.template operator()<0x88>(ab_low, cd_low),
           pick.template operator()<0xDD>(ab_low, cd_low),
           pick.template operator()<0x88>(ab_high, cd_high),
           pick.template operator()<0xDD>(ab_high, cd_high)}};
}

/// Sixteen rows of B, unpacked in whole vectors.
template <class Format>
class SixteenColumns {
 public:
  SixteenColumns(const Panel& panel, int64_t col, const std::byte* step, int64_t row_bytes)
      : panel_(panel), col_(col) {
    for (int64_t j = 0; j < 16; ++j) at_[j / 4 + j % 4 * 4] = step + j * row_bytes;
    for (int64_t j = 0; j < 16; ++j) in_order_[j] = step + j * row_bytes;
  }

  /// Part `part` of the step, as quad `quad` of the panel.
  void pack(int64_t quad, int part) const {
    pack_codes<0, 1>(quad, part);
    pack_codes<2, 3>(quad, part);
    pack_scales(quad, part);
  }

 private:
  template <int kGroup, int kWord>
  Codes codes(int part) const {
    if constexpr (Format::kStepQuads == 1) {
      return Format::codes(BlockWord<kWord>{{at_}, kGroup * Format::kBlockBytes}, part);
    } else {
      return Format::codes(GroupWord<kGroup, kWord>{{at_}}, part);
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
      store64(first + k * kPanelColumns * 4, panel_bytes<Format>(words[k].first));
      store64(last + k * kPanelColumns * 4, panel_bytes<Format>(words[k].last));
    }
  }

  void pack_scales(int64_t quad, int part) const {
    constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
    const int64_t stride = panel_.quads * kHalves * kPanelColumns;
    const auto all = scales(part);
    for (int64_t h = 0; h < kHalves; ++h) {
      const int64_t to = (quad * kHalves + h) * kPanelColumns + col_;
#pragma GCC unroll 4
      for (int64_t g = 0; g < 4; ++g) {
        store64(panel_.scale + to + g * stride, all.scale[h].group[g]);
        if constexpr (Format::kMinimum) {
          store64(panel_.minimum + to + g * stride, all.minimum[h].group[g]);
        }
      }
    }
  }
  ScalesOf<Format::kHalves, GroupFloats> scales(int part) const {
    if constexpr (Format::kStepQuads == 2) {
      return Format::scales(SixteenRows{at_}, part);
    } else {
      const auto four = [&](int i) { return Format::scales(in_order_ + 4 * i, part); };
      const Scales<1> rows[4] = {four(0), four(1), four(2), four(3)};
      ScalesOf<1, GroupFloats> all;
      all.scale[0] =
          by_group(rows[0].scale[0], rows[1].scale[0], rows[2].scale[0], rows[3].scale[0]);
      if constexpr (Format::kMinimum) {
        all.minimum[0] = by_group(rows[0].minimum[0], rows[1].minimum[0], rows[2].minimum[0],
                                  rows[3].minimum[0]);
      }
      return all;
    }
  }

  const Panel& panel_;
  int64_t col_;
  const std::byte* at_[16];        // the rows j, j + 4, j + 8 and j + 12 side by side
  const std::byte* in_order_[16];  // the same as they come
};

/// pack_four of four times four rows, in whole vectors.
template <class Format>
inline void pack_sixteen(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                         int64_t first, int64_t quads) {
  constexpr int64_t kSteps = Format::kStepQuads;
  const std::byte* const row = p.b + (col + c) * p.b_row_bytes;
  const int64_t end =
      simd::CORRAL_ISA::min((first + quads) / kSteps, p.groups / (kQuadGroups * kSteps));
  for (int64_t step = first / kSteps; step < end; ++step) {
    const std::byte* const at = row + step * Format::kStepBytes;
    const SixteenColumns<Format> columns(panel, c, at, p.b_row_bytes);
#pragma GCC unroll 2
    for (int part = 0; part < Format::kStepQuads; ++part) {
      columns.pack(step * kSteps + part - first, part);
    }
  }
}

#endif

/// Unpacks `quads` quads, from the quad `first` on, of the rows of B from `col`.
template <class Format>
CORRAL_FLATTEN void pack(const Panel& panel, const BlockPiece& p, int64_t col, int64_t first,
                         int64_t quads) {
  const int64_t columns = simd::CORRAL_ISA::min(kPanelColumns, p.n - col);
  int64_t c = 0;
#if defined(__AVX512F__)
  for (; c + 16 <= columns; c += 16) pack_sixteen<Format>(panel, p, col, c, first, quads);
#endif
  for (; c < columns; c += kRowsB) pack_four<Format>(panel, p, col, c, first, quads);
  if constexpr (Format::kStepQuads == 1) {
    // Groups behind the whole quads.
    const int64_t whole = p.groups / kQuadGroups * kQuadGroups;
    const int64_t end = simd::CORRAL_ISA::min(p.groups, (first + quads) * kQuadGroups);
    for (int64_t g = simd::CORRAL_ISA::max(whole, first * kQuadGroups); g < end; ++g) {
      for (c = 0; c < columns; c += kRowsB) {
        const std::byte* blocks[kRowsB];
        RowWalk<Format>(p, col + c).blocks(g, blocks);
        pack_group<Format>(panel, panel.group(g % kQuadGroups, g / kQuadGroups - first), c,
                           Format::codes(LooseBlocks{blocks}, 0), Format::block_scales(blocks));
      }
    }
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
