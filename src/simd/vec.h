#pragma once

// Vectors for kernels that are compiled once per instruction set. A kernel lives in NAME_isa.cc, in
//
//     namespace corral::ops::CORRAL_ISA { ... }
//
// and CMake compiles that file for each instruction set, with CORRAL_ISA = portable, avx2, avx512
// on x86-64 and portable (NEON), dotprod on 64-bit ARM. Such files (and the headers they include)
// may use only this header, <cstdint>, <cstddef>, <cstring> and plain structs of *_kernel.h: an
// inline function of a library header, compiled here with AVX-512, could be the copy that the
// linker keeps for everybody. Threads, checks and allocation stay outside. Only lanes(), fma() and
// the conversions know the instruction set; the rest is the compilers' vector arithmetic, whose
// results do not depend on the width except where a sum over lanes is taken.

#ifndef CORRAL_ISA
#error "simd/vec.h is for *_isa.cc files only"
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace corral::simd::CORRAL_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

/// Floats in a vector: 16, 8 or 4.
inline constexpr int kLanes = kVectorBytes / 4;

typedef float F32 __attribute__((vector_size(kVectorBytes)));
typedef int32_t I32 __attribute__((vector_size(kVectorBytes)));
typedef uint32_t U32 __attribute__((vector_size(kVectorBytes)));
typedef uint16_t U16 __attribute__((vector_size(kVectorBytes / 2)));

template <class V>
inline V load(const void* at) {
  V v;
  std::memcpy(&v, at, sizeof(V));
  return v;
}
template <class V>
inline void store(void* at, V v) {
  std::memcpy(at, &v, sizeof(V));
}
inline F32 load(const float* at) { return load<F32>(static_cast<const void*>(at)); }

/// The first n elements (0 <= n <= kLanes), without touching memory behind them; the other lanes
/// are `fill`, or zero.
inline F32 load_partial(const float* at, int64_t n, float fill = 0) {
#if defined(__AVX512F__)
  const auto mask = static_cast<__mmask16>((1u << n) - 1u);
  return reinterpret_cast<F32>(_mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, at));
#else
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = i < n ? at[i] : fill;
  return load(lanes);
#endif
}
inline U16 load_partial(const uint16_t* at, int64_t n) {
#if defined(__AVX512F__)
  const auto mask = static_cast<__mmask16>((1u << n) - 1u);
  return reinterpret_cast<U16>(_mm256_maskz_loadu_epi16(mask, at));
#else
  uint16_t lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = i < n ? at[i] : uint16_t{0};
  return load<U16>(lanes);
#endif
}
inline void store_partial(float* at, F32 v, int64_t n) {
#if defined(__AVX512F__)
  const auto mask = static_cast<__mmask16>((1u << n) - 1u);
  _mm512_mask_storeu_ps(at, mask, reinterpret_cast<__m512>(v));
#else
  for (int i = 0; i < kLanes; ++i) {
    if (i < n) at[i] = v[i];
  }
#endif
}

/// (Less zero, which leaves every x as it is and so costs nothing; -0 plus zero would be 0.)
inline F32 set1(float x) { return x - F32{}; }

/// a * b + c with one rounding where the instruction set has it; with two in portable code on x86.
inline F32 fma(F32 a, F32 b, F32 c) {
#if defined(__AVX512F__)
  return reinterpret_cast<F32>(_mm512_fmadd_ps(
      reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__FMA__)
  return reinterpret_cast<F32>(_mm256_fmadd_ps(
      reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#elif defined(__ARM_NEON)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}
/// The same operation for the tail of a row: bit-equal to one lane of the vector form.
inline float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(CORRAL_EMULATED_VNNI)
/// An instruction adds products of bytes in 32 bits.
#define CORRAL_DPBUSD
/// sum + the products of four neighbouring bytes, of a unsigned and of b signed.
inline I32 dpbusd(I32 sum, I32 a, I32 b) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<I32>(_mm512_dpbusd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVXVNNI__)
  return reinterpret_cast<I32>(_mm256_dpbusd_avx_epi32(
      reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  // The even bytes of 16 bits, then the odd ones.
  const auto products = [](__m256i x, __m256i y) {
    return reinterpret_cast<I32>(_mm256_madd_epi16(x, y));
  };
  const auto x = reinterpret_cast<__m256i>(a);
  const auto y = reinterpret_cast<__m256i>(b);
  return sum +
         products(_mm256_and_si256(x, _mm256_set1_epi16(0xFF)),
                  _mm256_srai_epi16(_mm256_slli_epi16(y, 8), 8)) +
         products(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(y, 8));
#endif
}
#endif

inline F32 max(F32 a, F32 b) { return a > b ? a : b; }
inline F32 min(F32 a, F32 b) { return a < b ? a : b; }
inline float max(float a, float b) { return a > b ? a : b; }
inline float min(float a, float b) { return a < b ? a : b; }
inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

/// Sum of all lanes by halving, the same tree for every width's own lanes.
inline float sum(F32 v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}
inline float max_lane(F32 v) {
  float best = v[0];
  for (int i = 1; i < kLanes; ++i) best = max(best, v[i]);
  return best;
}

/// bf16 is the upper half of a float.
inline F32 load_bf16(const uint16_t* at) {
  const U32 wide = __builtin_convertvector(load<U16>(at), U32) << 16;
  return reinterpret_cast<F32>(wide);
}
inline float bf16_to_f32(uint16_t x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof(f));
  return f;
}
/// Round to nearest even; NaN stays a (quiet) NaN.
inline uint16_t f32_to_bf16(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof(f));
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}
inline U16 to_bf16(F32 v) {
  const U32 bits = reinterpret_cast<U32>(v);
  const U32 rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const U32 nan = (bits >> 16) | 0x40u;
  const I32 is_nan = v != v;
  return __builtin_convertvector(is_nan ? nan : rounded, U16);
}

/// IEEE half precision.
inline float f16_to_f32(uint16_t h) {
#if defined(__ARM_NEON)
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
#else
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7FFFu;
  uint32_t bits = magnitude << 13;
  float f;
  if (magnitude >= 0x7C00u) {  // infinity, NaN
    bits += 0x70000000u;
    std::memcpy(&f, &bits, sizeof(f));
  } else {  // scaling by 2^112 makes subnormals right too
    std::memcpy(&f, &bits, sizeof(f));
    f *= 0x1p112f;
  }
  std::memcpy(&bits, &f, sizeof(f));
  bits |= sign;
  std::memcpy(&f, &bits, sizeof(f));
  return f;
#endif
}
inline F32 load_f16(const uint16_t* at) {
#if defined(__AVX512F__)
  // The unmasked form is made of an uninitialised vector, of which g++ 12 warns.
  return reinterpret_cast<F32>(_mm512_maskz_cvtph_ps(0xFFFF, load<__m256i>(at)));
#elif defined(__F16C__)
  return reinterpret_cast<F32>(_mm256_cvtph_ps(load<__m128i>(at)));
#elif defined(__ARM_NEON)
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at)));
#else
  F32 v{};
  for (int i = 0; i < kLanes; ++i) v[i] = f16_to_f32(at[i]);
  return v;
#endif
}

/// e^x to about 2 units in the last place: range reduction by ln 2 in two parts (Cody and Waite),
/// a minimax polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2]. Below -87.3 the result is 0, above
/// 88.7 it is infinity, NaN stays NaN.
inline F32 exp(F32 x) {
  // Adding 1.5 * 2^23 rounds to an integer n, which then stands in the low bits of the sum.
  const F32 shifted = fma(x, set1(1.44269504f), set1(12582912.0f));
  const F32 n = shifted - 12582912.0f;
  F32 r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  F32 p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(p, r * r, r) + 1.0f;
  // p 2^n by adding to the exponent: inside the bounds below the result is a normal number.
  F32 y = reinterpret_cast<F32>(reinterpret_cast<U32>(p) + (reinterpret_cast<U32>(shifted) << 23));
  y = x < -87.3f ? F32{} : y;
  y = x > 88.7f ? set1(__builtin_inff()) : y;
  return x != x ? x : y;
}

/// 1 / (1 + e^-x), without overflow for any x.
inline F32 sigmoid(F32 x) {
  const F32 e = exp(x < 0 ? x : -x);  // in [0, 1]
  return (x < 0 ? e : set1(1.0f)) / (1.0f + e);
}

}  // namespace corral::simd::CORRAL_ISA
