#pragma once

// What the formats unpack into, and the tools they share. For *_isa.cc files.

#include "ops/matmul/block_vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Four groups of a row of B: value = scale * (byte - offset) - minimum.
template <size_t kHalves>
struct Quad {
  Bytes first;  // lane g: the first 16 values of group g
  Bytes last;
  F4 scale[kHalves];    // of the group, or of its first and its last 16 values
  F4 minimum[kHalves];  // unset in formats without
};

/// The constants of a format. kStepBytes bytes hold kStepQuads quads, in whole blocks; kOffset is
/// taken from every byte; wide bytes are signed and use all eight bits, others are below 64.
template <int block_bytes, int quads, int offset, bool wide_bytes, bool minimum, size_t halves = 1>
struct FormatOf {
  static constexpr int kBlockBytes = block_bytes;
  static constexpr int kStepQuads = quads;
  static constexpr int kStepBytes = quads == 1 ? 4 * block_bytes : block_bytes;
  static constexpr int kOffset = wide_bytes ? kWideOffset : offset;
  static constexpr bool kWide = wide_bytes;
  static constexpr bool kMinimum = minimum;
  static constexpr size_t kHalves = halves;
};

template <class T>
inline T load_word(const std::byte* at) {
  T word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

/// Every byte shifted, and masked to the bits that stay its own.
template <int kBits>
inline U8x16 shifted_right(U8x16 x, uint8_t mask) {
  typedef uint16_t U16x8 __attribute__((vector_size(16)));
  return reinterpret_cast<U8x16>(reinterpret_cast<U16x8>(x) >> kBits) & mask;
}
template <int kBits>
inline U8x16 shifted_left(U8x16 x, uint8_t mask) {
  typedef uint16_t U16x8 __attribute__((vector_size(16)));
  return reinterpret_cast<U8x16>(reinterpret_cast<U16x8>(x) << kBits) & mask;
}

inline Bytes merged(const Bytes& a, const Bytes& b) {
  return each<Bytes>([&](int i) { return a.part[i] | b.part[i]; });
}

/// Four bytes as numbers, the lowest first.
inline F4 floats_of_bytes(uint32_t bytes) {
#if defined(__AVX2__)
  return reinterpret_cast<F4>(
      _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(static_cast<int>(bytes)))));
#else
  return F4{static_cast<float>(bytes & 0xFF), static_cast<float>((bytes >> 8) & 0xFF),
            static_cast<float>((bytes >> 16) & 0xFF), static_cast<float>(bytes >> 24)};
#endif
}

/// Bytes 0, 2, 4 and 6 (kOdd: 1, 3, 5 and 7) as signed numbers.
template <bool kOdd>
inline F4 floats_of_every_second(uint64_t bytes) {
#if defined(__AVX2__)
  __m128i pairs = _mm_cvtsi64_si128(static_cast<long long>(bytes));
  if constexpr (!kOdd) pairs = _mm_slli_epi16(pairs, 8);
  return reinterpret_cast<F4>(_mm_cvtepi32_ps(_mm_cvtepi16_epi32(_mm_srai_epi16(pairs, 8))));
#else
  F4 out{};
  for (int g = 0; g < 4; ++g) {
    out[g] = static_cast<float>(static_cast<int8_t>(bytes >> (16 * g + (kOdd ? 8 : 0))));
  }
  return out;
#endif
}

/// Byte i is `value` where bit i of bits is set, else zero.
inline Bytes spread_bits(uint64_t bits, uint8_t value) {
#if defined(__AVX512BW__)
  const __m512i all = _mm512_maskz_set1_epi8(bits, static_cast<char>(value));
  return load64<Bytes>(&all);
#else
  uint8_t bytes[64];
  for (int i = 0; i < 64; ++i) bytes[i] = (bits >> i) & 1 ? value : uint8_t{0};
  return load64<Bytes>(bytes);
#endif
}

/// table[x] for bytes below 16.
inline Bytes looked_up(const uint8_t (&table)[16], const Bytes& x) {
#if defined(__AVX512BW__)
  const __m512i all = _mm512_maskz_broadcast_i32x4(0xFFFF, simd::CORRAL_ISA::load<__m128i>(table));
  return each<Bytes>([&](int i) {
    return reinterpret_cast<U8>(_mm512_shuffle_epi8(all, reinterpret_cast<__m512i>(x.part[i])));
  });
#elif defined(__AVX2__)
  const __m256i all = _mm256_broadcastsi128_si256(simd::CORRAL_ISA::load<__m128i>(table));
  return each<Bytes>([&](int i) {
    return reinterpret_cast<U8>(_mm256_shuffle_epi8(all, reinterpret_cast<__m256i>(x.part[i])));
  });
#else
  return each<Bytes>([&](int i) {
    U8 out{};
    for (int j = 0; j < simd::CORRAL_ISA::kVectorBytes; ++j) out[j] = table[x.part[i][j]];
    return out;
  });
#endif
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
