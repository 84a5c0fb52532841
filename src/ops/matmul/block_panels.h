#pragma once

// Products of many rows of A: B is unpacked into panels that stay in the first cache while all rows
// of A pass by. For *_isa.cc files.

#include "ops/matmul/block_walk.h"

namespace corral::ops::CORRAL_ISA {
namespace {

constexpr int64_t kVectorColumns = 16;
// Vectors of columns and rows of A of a tile: sums of dots and chains fill the registers.
#if defined(__AVX512F__)
constexpr size_t kTileVectors = 2;
constexpr size_t kTileRows = 6;
#elif defined(__AVX2__) || defined(__ARM_NEON)
constexpr size_t kTileVectors = 1;
constexpr size_t kTileRows = 2;
#else
constexpr size_t kTileVectors = 1;
constexpr size_t kTileRows = 1;
#endif
constexpr int64_t kPanelColumns = int64_t{kTileVectors} * kVectorColumns;
// Quads of a panel: 16 KiB of bytes at 32 columns.
constexpr int64_t kPanelQuads = 4;
// Rows of A whose chains are kept, 256 KiB at 32 columns.
constexpr int64_t kBlockRows = 512;

/// A panel and the chains of the rows of A, in scratch memory.
struct Panel {
  // A group is 2 halves of 4 times 4 bytes of all columns; groups of a chain lie together.
  U8* bytes;       // [4 chains, kPanelQuads, 2, 4, columns, 4]
  float* scale;    // [4 chains, kPanelQuads, halves, columns]
  float* minimum;  // the same
  float* chains;   // [rows, 4 chains, columns]

  static constexpr int64_t kBytes = kPanelQuads * kQuad * kPanelColumns;
  static constexpr int64_t kScaleBytes = kQuadGroups * kPanelQuads * 2 * kPanelColumns * 4;
  static constexpr int64_t kChainBytes = kQuadGroups * kPanelColumns * 4;  // of a row

  explicit Panel(std::byte* scratch)
      : bytes(reinterpret_cast<U8*>(scratch)),
        scale(reinterpret_cast<float*>(scratch + kBytes)),
        minimum(reinterpret_cast<float*>(scratch + kBytes + kScaleBytes)),
        chains(reinterpret_cast<float*>(scratch + kBytes + 2 * kScaleBytes)) {}

  static constexpr int64_t kChainStride = kPanelQuads * kGroup * kPanelColumns;

  static int64_t group(int64_t chain, int64_t quad) { return chain * kPanelQuads + quad; }
  std::byte* group_bytes(int64_t group) const {
    return reinterpret_cast<std::byte*>(bytes) + group * kGroup * kPanelColumns;
  }
  /// Bytes 4k to 4k + 3 of a half of the first group of a quad, from a column on. Those of the next
  /// group, which is of the next chain, are kChainStride bytes behind.
  std::byte* words(int64_t quad, int64_t half, int64_t k, int64_t col) const {
    return group_bytes(group(0, quad)) + ((4 * half + k) * kPanelColumns + col) * 4;
  }
  float* row_chains(int64_t row, int64_t chain) const {
    return chains + (row * kQuadGroups + chain) * kPanelColumns;
  }
};

int64_t panel_scratch_bytes(int64_t m) {
  return Panel::kBytes + 2 * Panel::kScaleBytes +
         simd::CORRAL_ISA::min(m, kBlockRows) * Panel::kChainBytes;
}

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
  for (int64_t k = 0; k < 4; ++k) {
    store_lanes(panel.words(quad, half, k, col), Panel::kChainStride, words[k]);
  }
}

/// The scales of four rows of a quad of B, as columns col to col + 3 of the panel.
template <class Format>
inline void pack_scales(const Panel& panel, int64_t quad, int64_t col,
                        const Scales<Format::kHalves>& scales) {
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  constexpr int64_t kChainStride = kPanelQuads * kHalves * kPanelColumns * 4;
  for (int64_t h = 0; h < kHalves; ++h) {
    const int64_t at = (quad * kHalves + h) * kPanelColumns + col;
    store_lanes(reinterpret_cast<std::byte*>(panel.scale + at), kChainStride, scales.scale[h]);
    if constexpr (Format::kMinimum) {
      store_lanes(reinterpret_cast<std::byte*>(panel.minimum + at), kChainStride,
                  scales.minimum[h]);
    }
  }
}

/// Four rows of a quad of B, as columns col to col + 3 of the panel.
template <class Format>
inline void pack_quad(const Panel& panel, int64_t quad, int64_t col, const Codes (&b)[kRowsB],
                      const Scales<Format::kHalves>& scales) {
  pack_half(panel, quad, 0, col, b[0].first, b[1].first, b[2].first, b[3].first);
  pack_half(panel, quad, 1, col, b[0].last, b[1].last, b[2].last, b[3].last);
  pack_scales<Format>(panel, quad, col, scales);
}

/// One group of four rows, which a lane of codes each has, as columns col to col + 3.
inline void pack_group(const Panel& panel, int64_t group, int64_t col, const Codes& b,
                       const BlockScales& scales, bool minimum) {
  std::byte codes[2][kRowsB][16];
  store64(codes[0], b.first);
  store64(codes[1], b.last);
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t k = 0; k < 4; ++k) {
      std::byte* to = panel.group_bytes(group) + ((4 * half + k) * kPanelColumns + col) * 4;
      for (int64_t j = 0; j < kRowsB; ++j) std::memcpy(to + 4 * j, codes[half][j] + 4 * k, 4);
    }
  }
  simd::CORRAL_ISA::store(panel.scale + group * kPanelColumns + col, scales.scale);
  if (minimum) simd::CORRAL_ISA::store(panel.minimum + group * kPanelColumns + col, scales.minimum);
}

/// Four rows of B, from column `col` of the panel on, and what is asked for ahead: the same rows in
/// the panel that comes next.
template <class Format>
RowWalk<Format> walk_of(const BlockPiece& p, int64_t col) {
  return RowWalk<Format>(p, col, kPanelQuads / Format::kStepQuads * Format::kStepBytes);
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
  walk_of<Format>(p, col + c).whole_quads(first, quads, put);
}

#if defined(__AVX512F__)

/// Lane g of a, b, c and d in turn goes to `to` + g * stride.
inline void store_transposed_lanes(std::byte* to, int64_t stride, const Bytes& a, const Bytes& b,
                                   const Bytes& c, const Bytes& d) {
  const auto whole = [](const Bytes& x) { return reinterpret_cast<__m512i>(x.part[0]); };
  const auto pick = []<int kOrder>(__m512i x, __m512i y) {
    return _mm512_maskz_shuffle_i32x4(0xFFFF, x, y, kOrder);
  };
  const __m512i ab_low = pick.template operator()<0x44>(whole(a), whole(b));
  const __m512i ab_high = pick.template operator()<0xEE>(whole(a), whole(b));
  const __m512i cd_low = pick.template operator()<0x44>(whole(c), whole(d));
  const __m512i cd_high = pick.template operator()<0xEE>(whole(c), whole(d));
  _mm512_storeu_si512(to, pick.template operator()<0x88>(ab_low, cd_low));
  _mm512_storeu_si512(to + stride, pick.template operator()<0xDD>(ab_low, cd_low));
  _mm512_storeu_si512(to + 2 * stride, pick.template operator()<0x88>(ab_high, cd_high));
  _mm512_storeu_si512(to + 3 * stride, pick.template operator()<0xDD>(ab_high, cd_high));
}

/// pack_four of four times four rows, in whole vectors.
template <class Format>
inline void pack_sixteen(const Panel& panel, const BlockPiece& p, int64_t col, int64_t c,
                         int64_t first, int64_t quads) {
  constexpr int64_t kSteps = Format::kStepQuads;
  const RowWalk<Format> walks[4] = {walk_of<Format>(p, col + c), walk_of<Format>(p, col + c + 4),
                                    walk_of<Format>(p, col + c + 8),
                                    walk_of<Format>(p, col + c + 12)};
  const int64_t end = simd::CORRAL_ISA::min((first + quads) / kSteps, walks[0].steps());
  for (int64_t step = first / kSteps; step < end; ++step) {
    Bytes words[size_t{kSteps}][2][4][4];  // of each four rows, as pack_half has them
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) {
      walks[i].one_step(
          step, [&](int64_t quad, const Codes(&b)[kRowsB], const Scales<Format::kHalves>& scales) {
            auto& own = words[quad - step * kSteps];
            transpose_words(b[0].first, b[1].first, b[2].first, b[3].first, own[0][i]);
            transpose_words(b[0].last, b[1].last, b[2].last, b[3].last, own[1][i]);
            pack_scales<Format>(panel, quad - first, c + 4 * i, scales);
          });
    }
#pragma GCC unroll 2
    for (int64_t part = 0; part < kSteps; ++part) {
      const int64_t quad = step * kSteps + part - first;
#pragma GCC unroll 2
      for (int64_t half = 0; half < 2; ++half) {
        const auto& own = words[part][half];
#pragma GCC unroll 4
        for (int64_t k = 0; k < 4; ++k) {
          store_transposed_lanes(panel.words(quad, half, k, c), Panel::kChainStride, own[0][k],
                                 own[1][k], own[2][k], own[3][k]);
        }
      }
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
        pack_group(panel, Panel::group(g % kQuadGroups, g / kQuadGroups - first), c,
                   Format::codes(LooseBlocks{blocks}, 0), Format::block_scales(blocks),
                   Format::kMinimum);
      }
    }
  }
}

/// What a tile needs to know of a format.
template <bool kWideBytes, int64_t kHalvesOf, bool kHasMinimum>
struct Traits {
  static constexpr bool kWide = kWideBytes;
  static constexpr int64_t kHalves = kHalvesOf;
  static constexpr bool kMinimum = kHasMinimum;
};

/// kRows rows of A times the columns of the panel.
template <class T, size_t kRows>
class PanelTile {
 public:
  PanelTile(const Panel& panel, const BlockRows& a, int64_t quads, int64_t row, int64_t first)
      : panel_(panel), a_(a), row_quads_(quads), at_(row * quads + first) {}

  /// Adds `groups` groups to the chains of rows from `block_row` on.
  void add(int64_t block_row, int64_t groups) {
    for (int64_t chain = 0; chain < simd::CORRAL_ISA::min(kQuadGroups, groups); ++chain) {
      const int64_t quads = (groups - chain + kQuadGroups - 1) / kQuadGroups;
      Floats sums[kRows][kTileVectors];
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
        for (size_t v = 0; v < kTileVectors; ++v) {
          sums[i][v] = load64<Floats>(
              panel_.row_chains(block_row + static_cast<int64_t>(i), chain) + v * kVectorColumns);
        }
      }
      for (int64_t q = 0; q < quads; ++q) add_group(sums, chain, q);
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
        for (size_t v = 0; v < kTileVectors; ++v) {
          store64(
              panel_.row_chains(block_row + static_cast<int64_t>(i), chain) + v * kVectorColumns,
              sums[i][v]);
        }
      }
    }
  }

 private:
  // A's quad of row i.
  int64_t quad_of(size_t i, int64_t quad) const {
    return at_ + static_cast<int64_t>(i) * row_quads_ + quad;
  }

  void add_group(Floats (&sums)[kRows][kTileVectors], int64_t chain, int64_t quad) {
    const int64_t group = Panel::group(chain, quad);
    Ints dots[kRows][kTileVectors];
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) {
      if (half == 0 || T::kHalves == 2) start(dots, chain, quad, half);
      add_half(dots, group, chain, quad, half);
      if (half == 1 || T::kHalves == 2) scale(sums, dots, group, chain, quad, half);
    }
    if constexpr (T::kMinimum) {
      for (int64_t half = 0; half < T::kHalves; ++half) add_minimum(sums, group, chain, quad, half);
    }
  }

  void start(Ints (&dots)[kRows][kTileVectors], int64_t chain, int64_t quad, int64_t half) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const int64_t at = (quad_of(i, quad) * T::kHalves + half) * kQuadGroups + chain;
      const Ints all = broadcast(a_.start[at]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) dots[i][v] = all;
    }
  }

  void add_half(Ints (&dots)[kRows][kTileVectors], int64_t group, int64_t chain, int64_t quad,
                int64_t half) {
    const std::byte* b = panel_.group_bytes(group) + half * 4 * kPanelColumns * 4;
    const int8_t* a = a_.bytes + half * 64 + chain * 16;
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      Bytes words[kTileVectors];
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        words[v] = load64<Bytes>(b + (static_cast<size_t>(k) * kTileVectors + v) * 64);
      }
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
        const Bytes word = broadcast4(a + quad_of(i, quad) * kQuad + 4 * k);
#pragma GCC unroll 2
        for (size_t v = 0; v < kTileVectors; ++v) {
          dots[i][v] = dot4<T::kWide>(dots[i][v], words[v], word);
        }
      }
    }
  }

  void scale(Floats (&sums)[kRows][kTileVectors], const Ints (&dots)[kRows][kTileVectors],
             int64_t group, int64_t chain, int64_t quad, int64_t half) {
    const int64_t of = T::kHalves == 2 ? half : 0;
    const float* b = panel_.scale + (group * T::kHalves + of) * kPanelColumns;
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const Floats a = broadcast(a_.scales[quad_of(i, quad) * kQuadGroups + chain]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        sums[i][v] = add_scaled(sums[i][v], dots[i][v], a, load64<Floats>(b + v * kVectorColumns));
      }
    }
  }

  void add_minimum(Floats (&sums)[kRows][kTileVectors], int64_t group, int64_t chain, int64_t quad,
                   int64_t half) {
    const float* b = panel_.minimum + (group * T::kHalves + half) * kPanelColumns;
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const int64_t at = (quad_of(i, quad) * T::kHalves + half) * kQuadGroups + chain;
      const Floats a = broadcast(a_.sums[at]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        sums[i][v] = add_product(sums[i][v], a, load64<Floats>(b + v * kVectorColumns));
      }
    }
  }

  const Panel& panel_;
  const BlockRows& a_;
  int64_t row_quads_;
  int64_t at_;
};

/// The rows [row, row + rows) of A times the panel, whose first quad is `first`.
template <class T>
void multiply_panel(const Panel& panel, const BlockPiece& p, int64_t row, int64_t rows,
                    int64_t first, int64_t quads) {
  const int64_t groups = simd::CORRAL_ISA::min(quads * kQuadGroups, p.groups - first * kQuadGroups);
  const auto tile = [&]<size_t kRows>(int64_t at) {
    PanelTile<T, kRows>(panel, p.a, p.quads(), row + at, first).add(at, groups);
  };
  int64_t at = 0;
  constexpr auto kStep = static_cast<int64_t>(kTileRows);
  for (; at + kStep <= rows; at += kStep) tile.template operator()<kTileRows>(at);
  if constexpr (kTileRows > 4) {
    for (; at + 3 <= rows; at += 3) tile.template operator()<3>(at);
  }
  for (; at < rows; ++at) tile.template operator()<1>(at);
}

inline void store_panel(const Panel& panel, const BlockPiece& p, int64_t row, int64_t rows,
                        int64_t col) {
  const int64_t columns = simd::CORRAL_ISA::min(kPanelColumns, p.n - col);
  for (int64_t i = 0; i < rows; ++i) {
    const float* chains = panel.row_chains(i, 0);
    float* c = p.c + (row + i) * p.c_row_stride + col * p.c_col_stride;
    for (int64_t j = 0; j < columns; ++j) {
      const float* chain = chains + j;
      const float total =
          ((chain[0] + chain[kPanelColumns]) + chain[2 * kPanelColumns]) + chain[3 * kPanelColumns];
      c[j * p.c_col_stride] = p.accumulate ? c[j * p.c_col_stride] + total : total;
    }
  }
}

template <class Format>
void panels(const BlockPiece& p, std::byte* scratch) {
  using T = Traits<Format::kWide, Format::kHalves, Format::kMinimum>;
  const Panel panel(scratch);
  const int64_t quads = p.quads();
  for (int64_t col = 0; col < p.n; col += kPanelColumns) {
    for (int64_t row = 0; row < p.m; row += kBlockRows) {
      const int64_t rows = simd::CORRAL_ISA::min(kBlockRows, p.m - row);
      std::memset(panel.chains, 0, static_cast<size_t>(rows * Panel::kChainBytes));
      for (int64_t first = 0; first < quads; first += kPanelQuads) {
        const int64_t some = simd::CORRAL_ISA::min(kPanelQuads, quads - first);
        pack<Format>(panel, p, col, first, some);
        multiply_panel<T>(panel, p, row, rows, first, some);
      }
      store_panel(panel, p, row, rows, col);
    }
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
