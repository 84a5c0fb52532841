#pragma once

// What becomes of the products: sums by lane, transpositions, and floats with their scales. For
// *_isa.cc files.

#include "ops/matmul/block_vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

inline F32 to_float(I32 x) { return __builtin_convertvector(x, F32); }

#if !defined(__AVX2__)
template <int kA, int kB, int kC, int kD, class V>
inline V shuffle_words(V a, V b) {
  const auto x = reinterpret_cast<I32>(a);
  const auto y = reinterpret_cast<I32>(b);
  return reinterpret_cast<V>(__builtin_shufflevector(x, y, kA, kB, kC, kD));
}
#endif

template <class V>
inline V unpack_low_32(V a, V b) {
  // The unmasked forms are made of an uninitialised vector, of which g++ 12 warns.
#if defined(__AVX512F__)
  return reinterpret_cast<V>(_mm512_maskz_unpacklo_epi32(0xFFFF, reinterpret_cast<__m512i>(a),
                                                         reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<V>(
      _mm256_unpacklo_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return shuffle_words<0, 4, 1, 5>(a, b);
#endif
}
template <class V>
inline V unpack_high_32(V a, V b) {
#if defined(__AVX512F__)
  return reinterpret_cast<V>(_mm512_maskz_unpackhi_epi32(0xFFFF, reinterpret_cast<__m512i>(a),
                                                         reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<V>(
      _mm256_unpackhi_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return shuffle_words<2, 6, 3, 7>(a, b);
#endif
}
template <class V>
inline V unpack_low_64(V a, V b) {
#if defined(__AVX512F__)
  return reinterpret_cast<V>(_mm512_maskz_unpacklo_epi64(0xFF, reinterpret_cast<__m512i>(a),
                                                         reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<V>(
      _mm256_unpacklo_epi64(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return shuffle_words<0, 1, 4, 5>(a, b);
#endif
}
template <class V>
inline V unpack_high_64(V a, V b) {
#if defined(__AVX512F__)
  return reinterpret_cast<V>(_mm512_maskz_unpackhi_epi64(0xFF, reinterpret_cast<__m512i>(a),
                                                         reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<V>(
      _mm256_unpackhi_epi64(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return shuffle_words<2, 3, 6, 7>(a, b);
#endif
}

/// Lane g of the result holds lane g of a, of b, of c and of d, each folded to one number by f.
template <class F>
inline Ints folded_lanes(const Ints& a, const Ints& b, const Ints& c, const Ints& d, const F& f) {
  return each<Ints>([&](int i) {
    const I32 ab = f(unpack_low_32(a.part[i], b.part[i]), unpack_high_32(a.part[i], b.part[i]));
    const I32 cd = f(unpack_low_32(c.part[i], d.part[i]), unpack_high_32(c.part[i], d.part[i]));
    return f(unpack_low_64(ab, cd), unpack_high_64(ab, cd));
  });
}
inline Ints sums_of_lanes(const Ints& a, const Ints& b, const Ints& c, const Ints& d) {
  return folded_lanes(a, b, c, d, [](I32 x, I32 y) { return x + y; });
}

/// The sum of each lane.
inline I4 lane_sums(const Ints& x) {
#if defined(__AVX512F__)
  auto all = reinterpret_cast<__m512i>(x.part[0]);
  all = _mm512_add_epi32(all, _mm512_maskz_shuffle_epi32(0xFFFF, all, _MM_PERM_BADC));
  all = _mm512_add_epi32(all, _mm512_maskz_shuffle_epi32(0xFFFF, all, _MM_PERM_CDAB));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  return reinterpret_cast<I4>(
      _mm512_maskz_extracti32x4_epi32(0xF, _mm512_maskz_permutexvar_epi32(0xFFFF, order, all), 0));
#elif defined(__ARM_NEON)
  return vpaddq_s32(vpaddq_s32(x.part[0], x.part[1]), vpaddq_s32(x.part[2], x.part[3]));
#else
  I4 lane[4];
  store64(lane, x);
  I4 sums{};
  for (int j = 0; j < 4; ++j) sums[j] = (lane[j][0] + lane[j][1]) + (lane[j][2] + lane[j][3]);
  return sums;
#endif
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
#elif defined(__AVX2__)
#pragma GCC unroll 2
  for (int64_t i = 0; i < 2; ++i) {
    const auto both = reinterpret_cast<__m256i>(v.part[i]);
    simd::CORRAL_ISA::store(to + 2 * i * stride, _mm256_castsi256_si128(both));
    simd::CORRAL_ISA::store(to + (2 * i + 1) * stride, _mm256_extracti128_si256(both, 1));
  }
#else
  std::byte lanes[4][16];
  store64(lanes, v);
  for (int64_t g = 0; g < 4; ++g) std::memcpy(to + g * stride, lanes[g], sizeof(lanes[g]));
#endif
}

/// Word k of lane g of out[k] comes from a, b, c and d in turn: a transposition of each lane.
inline void transpose_words(const Bytes& a, const Bytes& b, const Bytes& c, const Bytes& d,
                            Bytes (&out)[4]) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) {
    const U8 ab_low = unpack_low_32(a.part[i], b.part[i]);
    const U8 ab_high = unpack_high_32(a.part[i], b.part[i]);
    const U8 cd_low = unpack_low_32(c.part[i], d.part[i]);
    const U8 cd_high = unpack_high_32(c.part[i], d.part[i]);
    out[0].part[i] = unpack_low_64(ab_low, cd_low);
    out[1].part[i] = unpack_high_64(ab_low, cd_low);
    out[2].part[i] = unpack_low_64(ab_high, cd_high);
    out[3].part[i] = unpack_high_64(ab_high, cd_high);
  }
}

#if defined(__AVX512F__)
/// Element j of lane g comes from element g of lane j.
inline Floats transposed(const Floats& x) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return {{reinterpret_cast<F32>(
      _mm512_maskz_permutexvar_ps(0xFFFF, order, reinterpret_cast<__m512>(x.part[0])))}};
}
#endif

/// Lane g of the result is (a[g], b[g], c[g], d[g]).
inline Floats transposed(F4 a, F4 b, F4 c, F4 d) {
#if defined(__AVX512F__)
  return transposed(of_lanes<F4, Floats>(a, b, c, d));
#elif defined(__ARM_NEON)
  const F4 ab_low = unpack_low_32(a, b);
  const F4 ab_high = unpack_high_32(a, b);
  const F4 cd_low = unpack_low_32(c, d);
  const F4 cd_high = unpack_high_32(c, d);
  return {{unpack_low_64(ab_low, cd_low), unpack_high_64(ab_low, cd_low),
           unpack_low_64(ab_high, cd_high), unpack_high_64(ab_high, cd_high)}};
#else
  const F4 ab_low = {a[0], b[0], a[1], b[1]};
  const F4 ab_high = {a[2], b[2], a[3], b[3]};
  const F4 cd_low = {c[0], d[0], c[1], d[1]};
  const F4 cd_high = {c[2], d[2], c[3], d[3]};
  return of_lanes<F4, Floats>(F4{ab_low[0], ab_low[1], cd_low[0], cd_low[1]},
                              F4{ab_low[2], ab_low[3], cd_low[2], cd_low[3]},
                              F4{ab_high[0], ab_high[1], cd_high[0], cd_high[1]},
                              F4{ab_high[2], ab_high[3], cd_high[2], cd_high[3]});
#endif
}

/// Four numbers in every lane.
inline Floats same_lanes(F4 x) { return of_lanes<F4, Floats>(x, x, x, x); }

/// 16 bytes as numbers.
inline Floats floats_of(U8x16 bytes) {
#if defined(__AVX512F__)
  return {{reinterpret_cast<F32>(_mm512_maskz_cvtepi32_ps(
      0xFFFF, _mm512_maskz_cvtepu8_epi32(0xFFFF, reinterpret_cast<__m128i>(bytes))))}};
#elif defined(__AVX2__)
  const auto half = [](__m128i low) {
    return reinterpret_cast<F32>(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)));
  };
  const auto all = reinterpret_cast<__m128i>(bytes);
  return {{half(all), half(_mm_unpackhi_epi64(all, all))}};
#elif defined(__ARM_NEON)
  const auto all = reinterpret_cast<uint8x16_t>(bytes);
  const uint16x8_t low = vmovl_u8(vget_low_u8(all));
  const uint16x8_t high = vmovl_high_u8(all);
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_high_u16(low)),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_high_u16(high))}};
#else
  Floats to;
  for (int i = 0; i < 16; ++i) to.part[i / 4][i % 4] = static_cast<float>(bytes[i]);
  return to;
#endif
}
inline Floats floats_of(I8x16 bytes) {
#if defined(__AVX512F__)
  return {{reinterpret_cast<F32>(_mm512_maskz_cvtepi32_ps(
      0xFFFF, _mm512_maskz_cvtepi8_epi32(0xFFFF, reinterpret_cast<__m128i>(bytes))))}};
#elif defined(__AVX2__)
  const auto half = [](__m128i low) {
    return reinterpret_cast<F32>(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low)));
  };
  const auto all = reinterpret_cast<__m128i>(bytes);
  return {{half(all), half(_mm_unpackhi_epi64(all, all))}};
#elif defined(__ARM_NEON)
  const auto all = reinterpret_cast<int8x16_t>(bytes);
  const int16x8_t low = vmovl_s8(vget_low_s8(all));
  const int16x8_t high = vmovl_high_s8(all);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
#else
  Floats to;
  for (int i = 0; i < 16; ++i) to.part[i / 4][i % 4] = static_cast<float>(bytes[i]);
  return to;
#endif
}

/// Lane g of the result is x[g] four times.
inline Floats spread(const float* x) {
#if defined(__AVX512F__)
  const __m512i order = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  const __m512 all = _mm512_castps128_ps512(_mm_loadu_ps(x));
  return {{reinterpret_cast<F32>(_mm512_maskz_permutexvar_ps(0xFFFF, order, all))}};
#elif defined(__AVX2__)
  const __m256 all = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(x));
  const auto two = [&](int g) {
    return reinterpret_cast<F32>(
        _mm256_permutevar_ps(all, _mm256_setr_epi32(g, g, g, g, g + 1, g + 1, g + 1, g + 1)));
  };
  return {{two(0), two(2)}};
#else
  return of_lanes<F4, Floats>(x[0] - F4{}, x[1] - F4{}, x[2] - F4{}, x[3] - F4{});
#endif
}
inline Ints spread(const int32_t* x) {
  const Floats bits = spread(reinterpret_cast<const float*>(x));
  return each<Ints>([&](int i) { return reinterpret_cast<I32>(bits.part[i]); });
}
inline Floats sum(const Floats& a, const Floats& b) {
  return each<Floats>([&](int i) { return a.part[i] + b.part[i]; });
}
inline Ints sum(const Ints& a, const Ints& b) {
  return each<Ints>([&](int i) { return a.part[i] + b.part[i]; });
}
/// Lane g of the result is (x[g], 0, 0, 0).
inline Ints lane_starts(const int32_t* x) {
#if defined(__AVX512F__)
  const __m512i order = _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
  const __m512i all = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  return {{reinterpret_cast<I32>(_mm512_maskz_permutexvar_epi32(0x1111, order, all))}};
#elif defined(__AVX2__)
  // In memory they would be stored one by one and loaded together, which waits.
  const __m256i all = _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  const auto two = [&](int g) {
    return reinterpret_cast<I32>(
        _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(g, 4, 4, 4, g + 1, 4, 4, 4)));
  };
  return {{two(0), two(2)}};
#elif defined(__ARM_NEON)
  return {{I4{x[0], 0, 0, 0}, I4{x[1], 0, 0, 0}, I4{x[2], 0, 0, 0}, I4{x[3], 0, 0, 0}}};
#else
  const int32_t all[16] = {x[0], 0, 0, 0, x[1], 0, 0, 0, x[2], 0, 0, 0, x[3], 0, 0, 0};
  return load64<Ints>(all);
#endif
}

/// The same four bytes 16 times.
inline Bytes broadcast4(const int8_t* at) {
  int32_t word;
  std::memcpy(&word, at, sizeof(word));
  return each<Bytes>([&](int) { return reinterpret_cast<U8>(I32{} + word); });
}
inline Ints broadcast(int32_t x) {
  return each<Ints>([&](int) { return I32{} + x; });
}

/// 16 numbers of f16.
inline Floats floats_of_halves(const std::byte* at) {
  return each<Floats>([&](int i) {
    return simd::CORRAL_ISA::load_f16(
        reinterpret_cast<const uint16_t*>(at + i * simd::CORRAL_ISA::kLanes * 2));
  });
}
inline Floats to_floats(const Ints& x) {
  return each<Floats>([&](int i) { return to_float(x.part[i]); });
}
inline Floats add_product(const Floats& sum, const Floats& a, const Floats& b) {
  return each<Floats>(
      [&](int i) { return simd::CORRAL_ISA::fma(a.part[i], b.part[i], sum.part[i]); });
}
/// sum + float(dot) * (scale_a * scale_b)
inline Floats add_scaled(const Floats& sum, const Ints& dot, const Floats& a, const Floats& b) {
  return each<Floats>([&](int i) {
    return simd::CORRAL_ISA::fma(to_float(dot.part[i]), a.part[i] * b.part[i], sum.part[i]);
  });
}
inline Floats product(const Floats& a, const Floats& b) {
  return each<Floats>([&](int i) { return a.part[i] * b.part[i]; });
}
inline Floats negative(const Floats& x) {
  return each<Floats>([&](int i) { return -x.part[i]; });
}
/// As simd's fma.
inline F4 fma4(F4 a, F4 b, F4 c) {
#if defined(__FMA__)
  return reinterpret_cast<F4>(_mm_fmadd_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b),
                                           reinterpret_cast<__m128>(c)));
#elif defined(__ARM_NEON)
  return simd::CORRAL_ISA::fma(a, b, c);
#else
  return a * b + c;
#endif
}
inline Floats broadcast(float x) {
  return each<Floats>([&](int) { return simd::CORRAL_ISA::set1(x); });
}

inline float half_at(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
#if defined(__F16C__)
  return _cvtsh_ss(bits);
#else
  return simd::CORRAL_ISA::f16_to_f32(bits);
#endif
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
