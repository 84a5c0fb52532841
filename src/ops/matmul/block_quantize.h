#pragma once

// Rows of A as bytes, four groups at a time. For *_isa.cc files.

#include "ops/matmul/block_formats.h"
#include "ops/matmul/block_kernel.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, halves to even.
constexpr float kRounder = 12582912.0f;
// Magnitudes of floats are ordered as their bits are; these bits and those above are not finite.
constexpr int32_t kInfinity = 0x7F800000;

inline Ints magnitudes(const float* x) {
  const auto bits = load64<Ints>(x);
  return each<Ints>([&](int i) { return bits.part[i] & 0x7FFFFFFF; });
}
inline I32 greater_of(I32 a, I32 b) { return a > b ? a : b; }
inline Ints greater_of(const Ints& a, const Ints& b) {
  return each<Ints>([&](int i) { return greater_of(a.part[i], b.part[i]); });
}

/// The bits of the largest magnitude of each of four groups.
inline I4 largest_of(const float* x) {
  const auto group = [&](int64_t g) {
    return greater_of(magnitudes(x + g * kGroup), magnitudes(x + g * kGroup + 16));
  };
  const Ints folded = folded_lanes(group(0), group(1), group(2), group(3),
                                   [](I32 a, I32 b) { return greater_of(a, b); });
  I4 lane[4];
  store64(lane, folded);
  const auto greater = [](I4 a, I4 b) { return a > b ? a : b; };
  return greater(greater(lane[0], lane[1]), greater(lane[2], lane[3]));
}

/// 16 values times `inverse` as bytes.
inline U8x16 rounded(const float* x, float inverse) {
#if defined(__AVX512F__)
  const auto all = simd::CORRAL_ISA::load(x) * inverse + kRounder - kRounder;
  return reinterpret_cast<U8x16>(_mm512_maskz_cvtepi32_epi8(
      0xFFFF, _mm512_maskz_cvttps_epi32(0xFFFF, reinterpret_cast<__m512>(all))));
#else
  typedef int16_t I16x8 __attribute__((vector_size(16)));
  I4 quarter[4];
  for (int i = 0; i < 4; ++i) {
    F4 four;
    std::memcpy(&four, x + 4 * i, sizeof(four));
    quarter[i] = __builtin_convertvector(four * inverse + kRounder - kRounder, I4);
  }
  // Little-endian: the low byte of each number.
  const auto narrow = [](I4 a, I4 b) {
    return __builtin_shufflevector(reinterpret_cast<I16x8>(a), reinterpret_cast<I16x8>(b), 0, 2, 4,
                                   6, 8, 10, 12, 14);
  };
  const auto low = reinterpret_cast<U8x16>(narrow(quarter[0], quarter[1]));
  const auto high = reinterpret_cast<U8x16>(narrow(quarter[2], quarter[3]));
  return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                 30);
#endif
}

/// The sums of the first and of the last 16 bytes of each group, of every four those that are ones
/// in `bytes`.
struct QuadSums {
  I4 half[2];

  QuadSums(const Bytes& first, const Bytes& last, uint32_t bytes = 0x01010101) {
    const Bytes ones = each<Bytes>([&](int) { return reinterpret_cast<U8>(U32{} + bytes); });
    const Ints zero = broadcast(0);
    const Ints sums =
        sums_of_lanes(dot4<false>(zero, ones, first), dot4<false>(zero, ones, last), zero, zero);
    I4 lane[4];
    store64(lane, sums);
    for (int h = 0; h < 2; ++h) half[h] = I4{lane[0][h], lane[1][h], lane[2][h], lane[3][h]};
  }
  /// Of whole groups, or of half h.
  I4 of(int64_t halves, int64_t h) const { return halves == 1 ? half[0] + half[1] : half[h]; }
};

/// BlockRows::start of four groups or halves of them, from the sums of their bytes and of the first
/// two of every four.
template <class Format>
inline I4 starts(I4 all, I4 first_two) {
  if constexpr (Format::kOffset != 0 && Products<Format::kWide>::kTwoStarts) {
    const I4 first = -Format::kOffset * first_two;
    const I4 others = -Format::kOffset * (all - first_two);
    return (first & 0xFFFF) | (others << 16);
  } else {
    return -Format::kOffset * all;
  }
}

/// Where a row of A goes.
struct RowOfA {
  const BlockRows& a;
  RowPlaces pieces;
  RowPlaces scales;
  RowPlaces sums;

  RowOfA(const BlockRows& rows, int64_t row, int64_t halves)
      : a(rows),
        pieces(rows.order.places_of_bytes(row)),
        scales(rows.order.places_of(row, 1)),
        sums(rows.order.places_of(row, halves)) {}

  void store_bytes(int64_t quad, int64_t half, const U8x16 (&bytes)[4]) const {
    for (int64_t g = 0; g < kQuadGroups; ++g) {
      simd::CORRAL_ISA::store(a.bytes + pieces.at(quad, half, g) * 16, bytes[g]);
    }
  }
  void store_scales(int64_t quad, F4 scale) const {
    for (int64_t g = 0; g < kQuadGroups; ++g) a.scales[scales.at(quad, 0, g)] = scale[g];
  }
  void store_sums(int64_t quad, int64_t half, I4 start, F4 sum) const {
    for (int64_t g = 0; g < kQuadGroups; ++g) {
      a.start[sums.at(quad, half, g)] = start[g];
      a.sums[sums.at(quad, half, g)] = sum[g];
    }
  }
};

/// Scales of four groups.
struct GroupScales {
  I4 finite;
  F4 scale;    // NaN for what is not finite
  F4 inverse;  // 0 for what has no scale

  /// From the bits of the groups' largest magnitudes.
  template <bool kPowers>
  static GroupScales of(I4 largest) {
    F4 scale = reinterpret_cast<F4>(largest) / 127.0f;
    I4 finite = largest < kInfinity;
    if constexpr (kPowers) {
      const auto bits_of = [](int exponent) { return (exponent + 127) << 23; };
      // Unsigned, as the bits of a NaN would run over.
      const U32x4 up = reinterpret_cast<U32x4>(scale) + 0x007FFFFFu;
      const auto bits = reinterpret_cast<I4>(up & uint32_t{kInfinity});
      finite &= bits <= bits_of(100);
      scale = reinterpret_cast<F4>(bits > bits_of(-100) ? bits : I4{} + bits_of(-100));
    }
    const F4 inverse = (scale > 1e-38f) & finite ? 1.0f / scale : F4{};
    return {finite, finite ? scale : F4{} + __builtin_nanf(""), inverse};
  }
};

/// A quad of 128 floats. Returns which of its groups are finite.
template <class Format>
I4 quantize_quad(const float* x, const RowOfA& to, int64_t quad) {
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  const auto [finite, scale, inverse] = GroupScales::of<Format::kPowers>(largest_of(x));
  U8x16 bytes[2][4];
#pragma GCC unroll 4
  for (int64_t g = 0; g < kQuadGroups; ++g) {
    const auto own = static_cast<uint8_t>(finite[g] & 0xFF);
    for (int64_t half = 0; half < 2; ++half) {
      bytes[half][g] = rounded(x + g * kGroup + half * 16, inverse[g]) & own;
    }
  }
  const auto half_bytes = [&](int h) {
    return bytes_of_lanes(bytes[h][0], bytes[h][1], bytes[h][2], bytes[h][3]);
  };
  const Bytes first = half_bytes(0);
  const Bytes last = half_bytes(1);
  to.store_bytes(quad, 0, bytes[0]);
  to.store_bytes(quad, 1, bytes[1]);
  to.store_scales(quad, scale);
  const QuadSums all(first, last);
  const QuadSums first_two(first, last, 0x00000101);
  for (int64_t h = 0; h < kHalves; ++h) {
    const I4 sum = all.of(kHalves, h);
    to.store_sums(quad, h, starts<Format>(sum, first_two.of(kHalves, h)),
                  -scale * __builtin_convertvector(sum, F4));
  }
  return finite;
}

template <class Format>
void quantize(const float* x, int64_t groups, const BlockRows& a, int64_t row) {
  const int64_t whole = groups / kQuadGroups;
  const int64_t rest = groups % kQuadGroups;
  const RowOfA to(a, row, Format::kHalves);
  I4 finite = I4{} - 1;
  for (int64_t q = 0; q < whole; ++q) finite &= quantize_quad<Format>(x + q * kQuad, to, q);
  if (rest != 0) {
    float padded[kQuad] = {};
    std::memcpy(padded, x + whole * kQuad, static_cast<size_t>(rest * kGroup) * sizeof(float));
    finite &= quantize_quad<Format>(padded, to, whole);
  }
  const bool all_finite = (finite[0] & finite[1] & finite[2] & finite[3]) != 0;
  a.zeros[row] = all_finite ? 0.0f : __builtin_nanf("");
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
