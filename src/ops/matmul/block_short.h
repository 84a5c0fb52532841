#pragma once

// Products of one row of A with short rows of Q8_0: an output projection has hundreds of thousands
// of them, and four that are read side by side would look like no stream to the processor. They
// are read one after the other, as they lie in memory. For *_isa.cc files.

#include "ops/matmul/block_rows.h"

namespace corral::ops::CORRAL_ISA {
namespace {

#if defined(__AVX512VNNI__)

// Longer rows are read side by side.
constexpr int64_t kShortQuads = 8;
// How far ahead memory is asked for: less than a page.
constexpr int64_t kShortAhead = 2048;

/// A quad of A as Q8_0 has it: the 32 bytes of a group side by side, two groups a vector.
struct WholeGroups {
  explicit WholeGroups(const int8_t* quad) {
    const __m512i first = _mm512_loadu_si512(quad);
    const __m512i last = _mm512_loadu_si512(quad + 64);
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    pair[0] = _mm512_maskz_permutex2var_epi64(0xFF, first, low, last);
    pair[1] = _mm512_maskz_permutex2var_epi64(0xFF, first, high, last);
  }
  __m512i pair[2];
};

/// The dot of each group of a quad with a row of B, less the part of A's sums: lane g of the result
/// adds up to that of group g.
inline Ints group_dots(const std::byte* row, const WholeGroups& a) {
  constexpr int64_t kBlock = Q8_0::kBlockBytes;
  const auto dots = [&](int64_t i) {
    const auto group = [&](int64_t g) {
      return simd::CORRAL_ISA::load<__m256i>(row + g * kBlock + 2);
    };
    const __m512i both =
        _mm512_maskz_inserti64x4(0xFF, _mm512_castsi256_si512(group(2 * i)), group(2 * i + 1), 1);
    const Bytes b = wide(Bytes{{reinterpret_cast<U8>(both)}});
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), reinterpret_cast<__m512i>(b.part[0]),
                               a.pair[i]);
  };
  const __m512i low = dots(0);
  const __m512i high = dots(1);
  const auto lanes = [](__m512i x) { return reinterpret_cast<I32>(x); };
  return {{lanes(_mm512_maskz_shuffle_i32x4(0xFFFF, low, high, 0x88)) +
           lanes(_mm512_maskz_shuffle_i32x4(0xFFFF, low, high, 0xDD))}};
}

/// Four rows of B, of `quads` whole quads; with kQuads above 0 this is the number.
template <int64_t kQuads>
inline void short_tile(const BlockPiece& p, int64_t col, int64_t quads) {
  if constexpr (kQuads > 0) quads = kQuads;
  const RowWalk<Q8_0> walk(p, col);
  Ints sums[kRowsB][static_cast<size_t>(kQuads > 0 ? kQuads : kShortQuads)];
#pragma GCC unroll 4
  for (int64_t j = 0; j < kRowsB; ++j) {
    // The processor reads ahead by itself, but on Intel's it is faster to be told.
    const std::byte* const later = walk.row_of(j, 0) + kShortAhead;
    for (int64_t i = 0; i < quads * Q8_0::kStepBytes; i += 64) __builtin_prefetch(later + i, 0, 2);
#pragma GCC unroll 4
    for (int64_t q = 0; q < quads; ++q) {
      sums[j][q] = group_dots(walk.row_of(j, q), WholeGroups(p.a.bytes + q * kQuad));
    }
  }
  Floats chains = broadcast(0.0f);
#pragma GCC unroll 4
  for (int64_t q = 0; q < quads; ++q) {
    const Ints start = spread(p.a.start + q * kQuadGroups);
    const Ints dot = sum(start, sums_of_lanes(sums[0][q], sums[1][q], sums[2][q], sums[3][q]));
    const std::byte* const at[kRowsB] = {walk.row_of(0, q), walk.row_of(1, q), walk.row_of(2, q),
                                         walk.row_of(3, q)};
    chains =
        add_scaled(chains, dot, spread(p.a.scales + q * kQuadGroups), Q8_0::scales(at, 0).scale[0]);
  }
  finish<Q8_0>(p, 0, col, walk, chains);
}

template <int64_t kQuads>
CORRAL_FLATTEN void short_rows(const BlockPiece& p) {
  const int64_t quads = p.groups / kQuadGroups;
  for (int64_t col = 0; col < p.n; col += kRowsB) short_tile<kQuads>(p, col, quads);
}

/// `rows` of Q8_0.
inline void rows_q8_0(const BlockPiece& p) {
  const int64_t quads = p.groups / kQuadGroups;
  if (p.m != 1 || quads > kShortQuads) return rows<Q8_0>(p);
  // With the number known all sums stay in registers.
  return quads == 4 ? short_rows<4>(p) : short_rows<0>(p);
}

#else

inline void rows_q8_0(const BlockPiece& p) { rows<Q8_0>(p); }

#endif

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
