#pragma once

// Vectors of 64 bytes, 16 integers and 16 floats for the block kernels, whatever the width of a
// register is. For *_isa.cc files.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/vec.h"

// Functions whose calls are all inlined: between the small ones here a call costs as much as they
// do. Without vectors it would be much code for little.
#if defined(__AVX2__) || defined(__ARM_NEON)
#define CORRAL_FLATTEN [[gnu::flatten]]
#define CORRAL_APART
#else
#define CORRAL_FLATTEN
#define CORRAL_APART [[gnu::noinline]]  // or compilers find it too much to unroll
#endif

namespace corral::ops::CORRAL_ISA {
namespace {

inline constexpr int kParts = 64 / simd::CORRAL_ISA::kVectorBytes;

typedef uint8_t U8 __attribute__((vector_size(simd::CORRAL_ISA::kVectorBytes)));
typedef uint16_t U16 __attribute__((vector_size(simd::CORRAL_ISA::kVectorBytes)));
typedef int32_t I32 __attribute__((vector_size(simd::CORRAL_ISA::kVectorBytes)));
using F32 = simd::CORRAL_ISA::F32;
using U32 = simd::CORRAL_ISA::U32;
typedef float F4 __attribute__((vector_size(16)));
typedef uint8_t U8x16 __attribute__((vector_size(16)));
typedef int8_t I8x16 __attribute__((vector_size(16)));
typedef uint32_t U32x4 __attribute__((vector_size(16)));
typedef int32_t I4 __attribute__((vector_size(16)));

/// Four lanes of 16 bytes.
struct Bytes {
  using Part = U8;
  U8 part[kParts];
};
/// Four lanes of four.
struct Ints {
  using Part = I32;
  I32 part[kParts];
};
struct Floats {
  using Part = F32;
  F32 part[kParts];
};

// A copy of the whole struct would go through memory in halves.
template <class V>
inline V load64(const void* at) {
  V v;
  using Part = typename V::Part;
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) {
    v.part[i] = simd::CORRAL_ISA::load<Part>(static_cast<const std::byte*>(at) +
                                             i * simd::CORRAL_ISA::kVectorBytes);
  }
  return v;
}
template <class V>
inline void store64(void* at, const V& v) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) {
    simd::CORRAL_ISA::store(static_cast<std::byte*>(at) + i * simd::CORRAL_ISA::kVectorBytes,
                            v.part[i]);
  }
}

inline U8x16 load16(const std::byte* at) {
  U8x16 v;
  std::memcpy(&v, at, sizeof(v));
  return v;
}

/// f(part) on every register.
template <class To, class F>
inline To each(const F& f) {
  To to;
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) to.part[i] = f(i);
  return to;
}

template <class Lane, class V>
inline V of_lanes(Lane a, Lane b, Lane c, Lane d) {
  static_assert(sizeof(Lane) == 16 && sizeof(V) == 64);
  V v;
  using Part = typename V::Part;
#if defined(__AVX512F__)
  __m512i all = _mm512_castsi128_si512(reinterpret_cast<__m128i>(a));
  all = _mm512_inserti32x4(all, reinterpret_cast<__m128i>(b), 1);
  all = _mm512_inserti32x4(all, reinterpret_cast<__m128i>(c), 2);
  all = _mm512_inserti32x4(all, reinterpret_cast<__m128i>(d), 3);
  v.part[0] = reinterpret_cast<Part>(all);
#elif defined(__AVX2__)
  v.part[0] = reinterpret_cast<Part>(
      _mm256_set_m128i(reinterpret_cast<__m128i>(b), reinterpret_cast<__m128i>(a)));
  v.part[1] = reinterpret_cast<Part>(
      _mm256_set_m128i(reinterpret_cast<__m128i>(d), reinterpret_cast<__m128i>(c)));
#else
  const Lane lanes[4] = {a, b, c, d};
  for (int i = 0; i < kParts; ++i) v.part[i] = reinterpret_cast<Part>(lanes[i]);
#endif
  return v;
}
inline Bytes bytes_of_lanes(U8x16 a, U8x16 b, U8x16 c, U8x16 d) {
  return of_lanes<U8x16, Bytes>(a, b, c, d);
}

/// Lane i holds the 16 bytes at `at` + 16 * the i-th number. All of [at, at + 64) may be read.
template <int kA, int kB, int kC, int kD>
inline Bytes lanes_at(const std::byte* at) {
#if defined(__AVX512F__)
  const auto all = simd::CORRAL_ISA::load<__m512i>(at);
  if constexpr (kA == 0 && kB == 1 && kC == 2 && kD == 3) return {{reinterpret_cast<U8>(all)}};
  constexpr int kOrder = kA | kB << 2 | kC << 4 | kD << 6;
  return {{reinterpret_cast<U8>(_mm512_maskz_shuffle_i32x4(0xFFFF, all, all, kOrder))}};
#else
  return bytes_of_lanes(load16(at + 16 * kA), load16(at + 16 * kB), load16(at + 16 * kC),
                        load16(at + 16 * kD));
#endif
}

/// The 16 bytes at `at` in every lane.
inline Bytes same_lanes(const std::byte* at) {
#if defined(__AVX512F__)
  return {{reinterpret_cast<U8>(
      _mm512_maskz_broadcast_i32x4(0xFFFF, simd::CORRAL_ISA::load<__m128i>(at)))}};
#else
  const U8x16 x = load16(at);
  return bytes_of_lanes(x, x, x, x);
#endif
}

inline Bytes masked(const Bytes& x, uint8_t mask) {
  return each<Bytes>([&](int i) { return x.part[i] & mask; });
}
inline Bytes merged(const Bytes& a, const Bytes& b) {
  return each<Bytes>([&](int i) { return a.part[i] | b.part[i]; });
}

/// Every byte shifted to the left by its lane's number of bits, or to the right by a negative
/// number, and masked to bits that are its own.
template <int kA, int kB, int kC, int kD>
inline Bytes shifted_lanes(const Bytes& x, uint8_t mask) {
#if defined(__AVX512F__)
  constexpr auto kTurn = [](int bits) { return bits & 31; };
  const __m512i turns = _mm512_setr_epi32(
      kTurn(kA), kTurn(kA), kTurn(kA), kTurn(kA), kTurn(kB), kTurn(kB), kTurn(kB), kTurn(kB),
      kTurn(kC), kTurn(kC), kTurn(kC), kTurn(kC), kTurn(kD), kTurn(kD), kTurn(kD), kTurn(kD));
  const __m512i turned =
      _mm512_maskz_rolv_epi32(0xFFFF, reinterpret_cast<__m512i>(x.part[0]), turns);
  return masked({{reinterpret_cast<U8>(turned)}}, mask);
#else
  constexpr int kBits[4] = {kA, kB, kC, kD};
  constexpr int kLanesOfPart = 4 / kParts;
  return each<Bytes>([&](int i) {
    auto words = reinterpret_cast<U32>(x.part[i]);
    U32 left{};
    U32 right{};
    bool to_left = false;  // known when this is compiled: a shift by nothing is none
    bool to_right = false;
#pragma GCC unroll 16
    for (int word = 0; word < simd::CORRAL_ISA::kLanes; ++word) {
      const int bits = kBits[i * kLanesOfPart + word / 4];
      left[word] = static_cast<uint32_t>(bits > 0 ? bits : 0);
      right[word] = static_cast<uint32_t>(bits < 0 ? -bits : 0);
      to_left |= bits > 0;
      to_right |= bits < 0;
    }
    if (to_left) words <<= left;
    if (to_right) words >>= right;
    return reinterpret_cast<U8>(words) & mask;
  });
#endif
}

/// Every byte shifted to the left, or to the right by a negative number, and masked to bits that
/// are its own.
template <int kBits>
inline Bytes shifted_bytes(const Bytes& x, uint8_t mask) {
  return each<Bytes>([&](int i) {
    const auto words = reinterpret_cast<U16>(x.part[i]);
    if constexpr (kBits < 0) return reinterpret_cast<U8>(words >> -kBits) & mask;
    return reinterpret_cast<U8>(words << (kBits < 0 ? 0 : kBits)) & mask;
  });
}

/// The low and the high half of every byte.
inline Bytes low_nibbles(const Bytes& x) { return masked(x, 0x0F); }
inline Bytes high_nibbles(const Bytes& x) { return shifted_bytes<-4>(x, 0x0F); }

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
