#pragma once

// The 6-bit scales and minima of Q4_K and Q5_K for a strip (block_strip.h): those of a row side by
// side, one a group. What four rows begin with is taken apart together, eight scales and eight
// minima in the 16 bytes of each. For *_amx.cc files.

#include <type_traits>

#include "ops/matmul/block_formats.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Where a byte of each element is: of each lane those from kFirst on.
template <int kFirst>
struct BytesOfLanes {
  alignas(64) uint8_t index[64] = {};

  constexpr BytesOfLanes() {
    for (int i = 0; i < 16; ++i) {
      index[4 * i] = static_cast<uint8_t>(i / 4 * 16 + kFirst + i % 4);
    }
  }
};
template <int kFirst>
constexpr BytesOfLanes<kFirst> kBytesOfLanes;

/// Element 4j + g is byte kFirst + g of lane j.
template <int kFirst>
inline Floats floats_of_lanes(const Bytes& lanes) {
  const __m512i numbers = _mm512_maskz_permutexvar_epi8(
      0x1111111111111111, simd::CORRAL_ISA::load<__m512i>(kBytesOfLanes<kFirst>.index),
      reinterpret_cast<__m512i>(lanes.part[0]));
  return {{__builtin_convertvector(reinterpret_cast<I32>(numbers), F32)}};
}

/// Where the number in f16 at kAt of each of four lanes is, four times.
template <int kAt>
struct HalfOfLanes {
  alignas(64) uint8_t index[64] = {};

  constexpr HalfOfLanes() {
    for (int i = 0; i < 32; ++i) index[i] = static_cast<uint8_t>(i / 8 * 16 + kAt + i % 2);
  }
};
template <int kAt>
constexpr HalfOfLanes<kAt> kHalfOfLanes;

/// Elements 4j to 4j + 3 are the number in f16 at kAt of lane j.
template <int kAt>
inline Floats half_of_lanes(const Bytes& lanes) {
  const __m512i halves = _mm512_maskz_permutexvar_epi8(
      0xFFFFFFFF, simd::CORRAL_ISA::load<__m512i>(kHalfOfLanes<kAt>.index),
      reinterpret_cast<__m512i>(lanes.part[0]));
  const __m256i first = _mm512_maskz_extracti64x4_epi64(0xF, halves, 0);
  return {{reinterpret_cast<F32>(_mm512_maskz_cvtph_ps(0xFFFF, first))}};
}

/// Whether a format has a block of 256 values begin with two numbers in f16 and 6-bit scales and
/// minima.
template <class Format>
constexpr bool kSixBits = std::is_same_v<Format, Q4_K> || std::is_same_v<Format, Q5_K>;

/// Masks of the 6-bit numbers of a row, which are here twelve bytes as [0-3, 8-11, 4-7, 8-11]:
/// of the first four the bytes, of the others the halves of those behind and two bits of these.
struct SixBitFields {
  alignas(64) uint8_t first_bit[64] = {};  // of the byte, or of a half
  alignas(64) uint8_t mask[64] = {};
  alignas(64) uint8_t first_of_two[64] = {};  // bits that become the fifth and sixth
  alignas(64) uint8_t mask_of_two[64] = {};

  constexpr SixBitFields() {
    for (int i = 0; i < 64; ++i) {
      const int j = i % 8;
      const bool is_minimum = i % 16 >= 8;
      first_bit[i] = static_cast<uint8_t>(8 * j + (j >= 4 && is_minimum ? 4 : 0));
      mask[i] = j < 4 ? 0x3F : 0x0F;
      first_of_two[i] = static_cast<uint8_t>(8 * (j & 3) + 2);
      mask_of_two[i] = j < 4 ? 0 : 0x30;
    }
  }
};
constexpr SixBitFields kSixBitFields;

/// The scales of eight groups of each row, then the minima.
inline Bytes six_bit_numbers(const Bytes& lanes) {
  const auto whole = [](const uint8_t(&bytes)[64]) {
    return simd::CORRAL_ISA::load<__m512i>(bytes);
  };
  // Words 1, 3, 2 and 3 of each lane.
  const __m512i packed = _mm512_maskz_shuffle_epi32(
      0xFFFF, reinterpret_cast<__m512i>(lanes.part[0]), static_cast<_MM_PERM_ENUM>(0xED));
  const auto fields = [&](const uint8_t(&first_bit)[64], const uint8_t(&mask)[64]) {
    const __m512i bits =
        _mm512_maskz_multishift_epi64_epi8(~__mmask64{0}, whole(first_bit), packed);
    return reinterpret_cast<U8>(bits) & reinterpret_cast<U8>(whole(mask));
  };
  return {{fields(kSixBitFields.first_bit, kSixBitFields.mask) |
           fields(kSixBitFields.first_of_two, kSixBitFields.mask_of_two)}};
}

/// Of a block in each of four rows: element 4j + g is of row j and group g of a quad.
struct SixBitScales {
  Floats scale[2];
  Floats minimum[2];

  explicit SixBitScales(RowsAt rows) {
    const auto begin = [&](int j) { return load_word<U8x16>(rows[j]); };
    const Bytes lanes = bytes_of_lanes(begin(0), begin(1), begin(2), begin(3));
    const Bytes numbers = six_bit_numbers(lanes);
    const Floats d = half_of_lanes<0>(lanes);
    const Floats dmin = half_of_lanes<2>(lanes);
    scale[0] = product(floats_of_lanes<0>(numbers), d);
    scale[1] = product(floats_of_lanes<4>(numbers), d);
    minimum[0] = product(floats_of_lanes<8>(numbers), dmin);
    minimum[1] = product(floats_of_lanes<12>(numbers), dmin);
  }
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
