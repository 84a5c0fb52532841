#pragma once

// Products of very few rows of A, which wait for memory: it is read fastest as two streams, so that
// two rows of B are read side by side, two steps of each at a time. For *_isa.cc files.

#include "ops/matmul/block_rows.h"

namespace corral::ops::CORRAL_ISA {
namespace {

#if defined(__AVX512VNNI__)

// More rows of A are faster with four rows of B, and so are rows of B that are longer.
constexpr int64_t kTwoRowsMost = 3;
constexpr int64_t kTwoRowsBytes = 4096;
// At least so many bytes, in whole pairs of rows, are asked for ahead.
constexpr int64_t kTwoRowsAhead = 8192;

/// Two rows of B, two steps of each: pieces 0 and 1 are of the first step, 2 and 3 of the second.
template <class Format>
class TwoRows {
 public:
  static constexpr int64_t kStepQuads = Format::kStepQuads;
  static constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);

  /// Whether K is made of such pieces, and they pay.
  static bool takes(const BlockPiece& p) {
    return p.m <= kTwoRowsMost && p.b_row_bytes > 0 && p.b_row_bytes <= kTwoRowsBytes &&
           p.groups > 0 && p.groups % (2 * kQuadGroups * kStepQuads) == 0;
  }

  /// All kRowsA rows of A times the rows col and col + 1 of B.
  template <size_t kRowsA>
  [[gnu::always_inline]] static void multiply(const BlockPiece& p, int64_t col) {
    const std::byte* const first = p.b + col * p.b_row_bytes;
    const std::byte* const second = first + (col + 1 < p.n ? p.b_row_bytes : 0);
    const int64_t both_bytes = 2 * p.b_row_bytes;
    const int64_t ahead = (kTwoRowsAhead + both_bytes - 1) / both_bytes * both_bytes;
    Floats chains[kRowsA];
    for (Floats& c : chains) c = broadcast(0.0f);
    const int64_t steps = p.groups / (kQuadGroups * kStepQuads);
    for (int64_t step = 0; step < steps; step += 2) {
      const std::byte* const at[kRowsB] = {
          first + step * Format::kStepBytes, second + step * Format::kStepBytes,
          first + (step + 1) * Format::kStepBytes, second + (step + 1) * Format::kStepBytes};
#pragma GCC unroll 8
      for (int line = 0; line < 2 * Format::kStepBytes; line += 64) {
        __builtin_prefetch(at[0] + ahead + line, 0, 2);
        __builtin_prefetch(at[1] + ahead + line, 0, 2);
      }
      Scaled scaled[kRowsA][static_cast<size_t>(kStepQuads)];
#pragma GCC unroll 2
      for (int part = 0; part < kStepQuads; ++part) {
        const Codes codes[kRowsB] = {codes_at<Format>(at[0], part), codes_at<Format>(at[1], part),
                                     codes_at<Format>(at[2], part), codes_at<Format>(at[3], part)};
        const Scales<Format::kHalves> scales = scales_at<Format>(at, part);
#pragma GCC unroll 4
        for (size_t i = 0; i < kRowsA; ++i) {
          const int64_t quad = static_cast<int64_t>(i) * p.quads() + step * kStepQuads + part;
          scaled[i][static_cast<size_t>(part)] = scale(p.a, quad, codes, scales);
        }
      }
#pragma GCC unroll 4
      for (size_t i = 0; i < kRowsA; ++i) {
        add(chains[i], scaled[i]);
        chains[i] = other_half(chains[i]);
        add(chains[i], scaled[i]);
        chains[i] = other_half(chains[i]);
      }
    }
    for (size_t i = 0; i < kRowsA; ++i) store(p, static_cast<int64_t>(i), col, chains[i]);
  }

 private:
  /// What is added to the chains for a quad of the pieces: lane g, element j for group g of piece
  /// j.
  struct Scaled {
    Floats dot[Format::kHalves];
    Floats scale[Format::kHalves];
    Floats sum[Format::kHalves];
    Floats minimum[Format::kHalves];
  };

  /// Numbers of A, `halves` for a group: element j of lane g is of the quad of piece j, which is
  /// `at` or that of the next step.
  static Floats spread_two(const float* at, int64_t halves) {
    const __m512i order = _mm512_setr_epi32(0, 0, 4, 4, 1, 1, 5, 5, 2, 2, 6, 6, 3, 3, 7, 7);
    const __m128 low = _mm_loadu_ps(at);
    const __m128 high = _mm_loadu_ps(at + kStepQuads * halves * kQuadGroups);
    const __m512 both = _mm512_castps256_ps512(_mm256_set_m128(high, low));
    return {{reinterpret_cast<F32>(_mm512_maskz_permutexvar_ps(0xFFFF, order, both))}};
  }
  static Ints spread_two(const int32_t* at, int64_t halves) {
    return {
        {reinterpret_cast<I32>(spread_two(reinterpret_cast<const float*>(at), halves).part[0])}};
  }
  static Scaled scale(const BlockRows& a, int64_t quad, const Codes (&b)[kRowsB],
                      const Scales<Format::kHalves>& scales) {
    const int8_t* const bytes = a.bytes + quad * kQuad;
    const auto first = [&](Ints sum, int64_t j) {
      return dot4<Format::kWide>(sum, b[j].first,
                                 load64<Bytes>(bytes + j / 2 * kStepQuads * kQuad));
    };
    const auto last = [&](Ints sum, int64_t j) {
      return dot4<Format::kWide>(sum, b[j].last,
                                 load64<Bytes>(bytes + j / 2 * kStepQuads * kQuad + 64));
    };
    const auto of_pieces = [](const auto& dot) {
      return sums_of_lanes(dot(0), dot(1), dot(2), dot(3));
    };
    const Ints zero = broadcast(0);
    Ints dots[Format::kHalves];
    if constexpr (kHalves == 1) {
      dots[0] = of_pieces([&](int64_t j) { return last(first(zero, j), j); });
    } else {
      dots[0] = of_pieces([&](int64_t j) { return first(zero, j); });
      dots[1] = of_pieces([&](int64_t j) { return last(zero, j); });
    }
    const Floats a_scale = spread_two(a.scales + quad * kQuadGroups, 1);
    Scaled to;
    for (int64_t h = 0; h < kHalves; ++h) {
      const int64_t numbers = (quad * kHalves + h) * kQuadGroups;
      const Ints dot = sum(dots[h], spread_two(a.start + numbers, kHalves));
      to.dot[h] = {{to_float(dot.part[0])}};
      to.scale[h] = product(a_scale, scales.scale[h]);
      if constexpr (Format::kMinimum) {
        to.sum[h] = spread_two(a.sums + numbers, kHalves);
        to.minimum[h] = scales.minimum[h];
      }
    }
    return to;
  }
  static void add(Floats& chains, const Scaled (&scaled)[static_cast<size_t>(kStepQuads)]) {
#pragma GCC unroll 2
    for (const Scaled& s : scaled) {
      for (int64_t h = 0; h < kHalves; ++h) chains = add_product(chains, s.dot[h], s.scale[h]);
      if constexpr (Format::kMinimum) {
        for (int64_t h = 0; h < kHalves; ++h) chains = add_product(chains, s.sum[h], s.minimum[h]);
      }
    }
  }
  /// Brings elements 0 and 1 of every lane to 2 and 3, and back: chains are those of the pieces to
  /// be added, the other elements nothing.
  static Floats other_half(const Floats& x) {
    return {{reinterpret_cast<F32>(
        _mm512_maskz_permute_ps(0xFFFF, reinterpret_cast<__m512>(x.part[0]), 0x4E))}};
  }
  static void store(const BlockPiece& p, int64_t row, int64_t col, const Floats& chains) {
    F4 lane[kQuadGroups];
    store64(lane, chains);
    const F4 totals = ((lane[0] + lane[1]) + lane[2]) + lane[3];
    float* const c = p.c + row * p.c_row_stride + col * p.c_col_stride;
    for (int64_t j = 0; j < 2 && col + j < p.n; ++j) {
      float& to = c[j * p.c_col_stride];
      to = p.accumulate ? to + totals[j] : totals[j];
    }
  }
};

template <class Format, size_t kRowsA>
[[gnu::noinline]] CORRAL_FLATTEN void two_rows(const BlockPiece& p) {
  for (int64_t col = 0; col < p.n; col += 2) TwoRows<Format>::template multiply<kRowsA>(p, col);
}

/// BlockKernel::rows.
template <class Format>
void few_rows(const BlockPiece& p) {
  if (!TwoRows<Format>::takes(p)) return rows<Format>(p);
  if (p.m == 1) return two_rows<Format, 1>(p);
  if (p.m == 2) return two_rows<Format, 2>(p);
  two_rows<Format, 3>(p);
}

#else

template <class Format>
void few_rows(const BlockPiece& p) {
  rows<Format>(p);
}

#endif

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
