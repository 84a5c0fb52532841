#pragma once

// How the scales of blocks of 256 values are read: a format says once how they follow from words of
// its block, which are those of four rows or of sixteen. For *_isa.cc files.

#include "ops/matmul/block_words.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// 16 bytes of each row as words: word[k] holds word k of all of them.
template <class Words>
struct FourWords {
  Words word[4];
};

// Four rows: their words are 16 bytes, and the numbers of their four groups a lane each.

/// A block in each of four rows.
struct FourRows {
  using Words = U32x4;
  RowsAt rows;

  /// The four bytes at `at` of every row.
  Words word(int at) const {
    return Words{load_word<uint32_t>(rows[0] + at), load_word<uint32_t>(rows[1] + at),
                 load_word<uint32_t>(rows[2] + at), load_word<uint32_t>(rows[3] + at)};
  }
  /// The 16 bytes at `at` of every row.
  FourWords<Words> four_words(int at) const {
    const auto load = [&](int j) { return load_word<Words>(rows[j] + at); };
    const Words a = load(0);
    const Words b = load(1);
    const Words c = load(2);
    const Words d = load(3);
    const Words ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const Words ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Words cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const Words cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return {{__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
             __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
             __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
             __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)}};
  }
};

/// The scales of what GroupsOfRow::fields leaves in place. They are exact, and so is what becomes
/// of them, but where the product of the scales of A and B is nearly subnormal, below 2^-120.
template <int kA, int kB, int kC, int kD>
inline Floats scales_of_fields(const FourRows&, const Floats& scales) {
#if defined(CORRAL_DPBUSD)
  const auto lane = [](int bits) { return F4{} + 1.0f / static_cast<float>(1 << bits); };
  return product(scales, of_lanes<F4, Floats>(lane(kA), lane(kB), lane(kC), lane(kD)));
#else
  return scales;
#endif
}

/// Of codes in which no fields are left in place: whole groups, or words of sixteen rows.
struct FourWholeRows : FourRows {
  explicit FourWholeRows(RowsAt all) : FourRows{all} {}
};
template <int kA, int kB, int kC, int kD>
inline Floats scales_of_fields(const FourWholeRows&, const Floats& scales) {
  return scales;
}

/// Byte g of word j becomes element j of lane g.
inline Floats floats_of_bytes(U32x4 words) {
  const auto x = reinterpret_cast<U8x16>(words);
  const U8x16 bytes =
      __builtin_shufflevector(x, x, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return floats_of(bytes);
}
/// The same of signed bytes.
inline Floats floats_of_signed_bytes(U32x4 words) {
  const auto x = reinterpret_cast<I8x16>(words);
  const I8x16 bytes =
      __builtin_shufflevector(x, x, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return floats_of(bytes);
}

/// The signed bytes 0 and 2 of word j of `low` and then of `high` (kOdd: bytes 1 and 3) become
/// element j of the lanes.
template <bool kOdd>
inline Floats floats_of_every_second(U32x4 low, U32x4 high) {
  const auto x = reinterpret_cast<I8x16>(low);
  const auto y = reinterpret_cast<I8x16>(high);
  constexpr int o = kOdd ? 1 : 0;
  const I8x16 bytes =
      __builtin_shufflevector(x, y, o, o + 4, o + 8, o + 12, o + 2, o + 6, o + 10, o + 14, o + 16,
                              o + 20, o + 24, o + 28, o + 18, o + 22, o + 26, o + 30);
  return floats_of(bytes);
}

/// The f16 numbers in the low (kHigh: high) halves of the words of four rows, in every lane.
template <bool kHigh>
inline Floats halves_of_words(U32x4 words) {
#if defined(__F16C__)
  const auto x = reinterpret_cast<U8x16>(words);
  constexpr int o = kHigh ? 2 : 0;
  const U8x16 halves = __builtin_shufflevector(x, x, o, o + 1, o + 4, o + 5, o + 8, o + 9, o + 12,
                                               o + 13, 0, 0, 0, 0, 0, 0, 0, 0);
  return same_lanes(reinterpret_cast<F4>(_mm_cvtph_ps(reinterpret_cast<__m128i>(halves))));
#elif defined(__ARM_NEON)
  const uint16x4_t bits = kHigh ? vshrn_n_u32(words, 16) : vmovn_u32(words);
  return same_lanes(vcvt_f32_f16(vreinterpret_f16_u16(bits)));
#else
  F4 x{};
  for (int j = 0; j < 4; ++j) {
    const uint32_t bits = kHigh ? words[j] >> 16 : words[j] & 0xFFFF;
    x[j] = simd::CORRAL_ISA::f16_to_f32(static_cast<uint16_t>(bits));
  }
  return same_lanes(x);
#endif
}

/// Every byte less n.
inline U32x4 less(U32x4 words, uint8_t n) {
  return reinterpret_cast<U32x4>(reinterpret_cast<U8x16>(words) - n);
}

#if defined(__AVX512F__)

// Sixteen rows: their words are 64 bytes, and the numbers of each group a vector.

typedef uint32_t U32x16 __attribute__((vector_size(64)));
typedef int32_t I32x16 __attribute__((vector_size(64)));
typedef uint8_t U8x64 __attribute__((vector_size(64)));

/// Element j of group[g] is of group g and row j.
struct GroupFloats {
  Floats group[4];
};

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

/// Word j of columns[i] comes from word i of rows[j].
inline void transpose_sixteen(const Bytes (&rows)[16], Bytes (&columns)[16]) {
  Bytes parts[4][4];  // word j of lane g of parts[i][k] is of row 4i + j and column 4g + k
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    transpose_words(rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3], parts[i]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const auto part = [&](int i) -> Floats {
      return {{reinterpret_cast<F32>(parts[i][k].part[0])}};
    };
    const GroupFloats all = by_group(part(0), part(1), part(2), part(3));
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
      columns[4 * g + k] = {{reinterpret_cast<U8>(all.group[g].part[0])}};
    }
  }
}

/// A block in each of sixteen rows.
template <class Rows>
struct SixteenRows {
  using Words = U32x16;
  const Rows& rows;

  Words word(int at) const {
    Words words;
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) words[j] = load_word<uint32_t>(rows[j] + at);
    return words;
  }
  FourWords<Words> four_words(int at) const {
    Bytes words[4];
    RowWords<Rows>{rows}.four(at, words);
    const auto whole = [&](int k) { return reinterpret_cast<Words>(words[k].part[0]); };
    return {{whole(0), whole(1), whole(2), whole(3)}};
  }
};

template <int kA, int kB, int kC, int kD, class Rows>
inline GroupFloats scales_of_fields(const SixteenRows<Rows>&, const GroupFloats& scales) {
  return scales;
}
/// f(g) as a vector of integers, for each of four groups.
template <class F>
inline GroupFloats floats_of_groups(const F& f) {
  const auto group = [&](int g) -> Floats {
    return {{reinterpret_cast<F32>(__builtin_convertvector(f(g), F32))}};
  };
  return {{group(0), group(1), group(2), group(3)}};
}
inline GroupFloats floats_of_bytes(U32x16 words) {
  return floats_of_groups(
      [&](int g) -> I32x16 { return reinterpret_cast<I32x16>((words >> (8 * g)) & 0xFFu); });
}
/// Byte i of each word, signed.
inline I32x16 signed_byte(U32x16 words, int i) {
  return reinterpret_cast<I32x16>(words << (24 - 8 * i)) >> 24;
}
inline GroupFloats floats_of_signed_bytes(U32x16 words) {
  return floats_of_groups([&](int g) { return signed_byte(words, g); });
}
template <bool kOdd>
inline GroupFloats floats_of_every_second(U32x16 low, U32x16 high) {
  return floats_of_groups(
      [&](int g) { return signed_byte(g < 2 ? low : high, g % 2 * 2 + (kOdd ? 1 : 0)); });
}
template <bool kHigh>
inline Floats halves_of_words(U32x16 words) {
  const U32x16 low = kHigh ? words >> 16 : words;
  const __m256i halves = _mm512_maskz_cvtepi32_epi16(0xFFFF, reinterpret_cast<__m512i>(low));
  return {{reinterpret_cast<F32>(_mm512_maskz_cvtph_ps(0xFFFF, halves))}};
}
inline U32x16 less(U32x16 words, uint8_t n) {
  return reinterpret_cast<U32x16>(reinterpret_cast<U8x64>(words) - n);
}
inline GroupFloats product(const GroupFloats& a, const Floats& b) {
  return {{product(a.group[0], b), product(a.group[1], b), product(a.group[2], b),
           product(a.group[3], b)}};
}

#endif

/// A scale, and where the format has one a minimum, for each group.
template <class Numbers>
inline ScalesOf<1, Numbers> one_scale(const Numbers& scale, const Numbers& minimum = {}) {
  return {{scale}, {minimum}};
}

/// Scales of 16 values each: two signed bytes a group, the groups one after the other.
template <class Words>
inline auto sixteen_scales(Words low, Words high, const Floats& d) {
  auto first = product(floats_of_every_second<false>(low, high), d);
  return ScalesOf<2, decltype(first)>{{first, product(floats_of_every_second<true>(low, high), d)},
                                      {}};
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
