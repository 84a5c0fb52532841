#pragma once

// Groups of B unpacked as they are multiplied by tiles: the 32 bytes of one side by side, two
// groups a vector, signed where a format has an offset. For *_amx.cc files.

#include "ops/matmul/block_quad.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Whether a format's offset is that of its nibbles, which can be taken off as they are unpacked.
template <class Format>
constexpr bool kLess8 = Format::kOffset == 8 && !Format::kWide;

/// Bytes as tiles take them: what a format adds to make them unsigned is taken back.
template <class Format>
inline Bytes tile_bytes(const Bytes& b) {
  if constexpr (Format::kOffset == 0 || Format::kWide || kLess8<Format>) return b;
  return {{b.part[0] - static_cast<uint8_t>(Format::kOffset)}};
}

/// Where in its eight bytes each byte of a vector begins, in bits, when it is shifted to the left
/// by its lane's number of bits, or to the right by a negative number.
template <int kA, int kB, int kC, int kD>
struct ShiftedBytes {
  alignas(64) uint8_t first_bit[64] = {};

  constexpr ShiftedBytes() {
    constexpr int kShift[4] = {kA, kB, kC, kD};
    for (int i = 0; i < 64; ++i) {
      first_bit[i] = static_cast<uint8_t>((8 * (i % 8) - kShift[i / 16]) & 63);
    }
  }
};
template <int kA, int kB, int kC, int kD>
constexpr ShiftedBytes<kA, kB, kC, kD> kShiftedBytes;

/// Low halves of bytes less 8, whatever the two bits above.
struct NibblesLess8 {
  alignas(64) int8_t of[64] = {};

  constexpr NibblesLess8() {
    for (int i = 0; i < 64; ++i) of[i] = static_cast<int8_t>(i % 16 - 8);
  }
};
constexpr NibblesLess8 kNibblesLess8;

/// Every byte shifted as ShiftedBytes says and masked. With kLess8 the mask is four bits, and 8 is
/// taken off. (Beside tiles the unit that multiplies floats is the bottleneck; these instructions
/// do not need it.)
template <uint8_t kMask, int kA, int kB, int kC, int kD, bool kLess8 = false>
inline Bytes moved(const Bytes& x) {
  auto bytes = reinterpret_cast<__m512i>(x.part[0]);
  if constexpr (kA != 0 || kB != 0 || kC != 0 || kD != 0) {
    const auto first = simd::CORRAL_ISA::load<__m512i>(kShiftedBytes<kA, kB, kC, kD>.first_bit);
    bytes = _mm512_maskz_multishift_epi64_epi8(~__mmask64{0}, first, bytes);
  }
  if constexpr (kLess8) {
    const auto values = simd::CORRAL_ISA::load<__m512i>(kNibblesLess8.of);
    bytes = _mm512_maskz_permutexvar_epi8(~__mmask64{0}, bytes, values);
    return {{reinterpret_cast<U8>(bytes)}};
  }
  return {{reinterpret_cast<U8>(bytes) & kMask}};
}

/// The 32 bytes at each of two places.
inline Bytes two_pairs(const std::byte* a, const std::byte* b) {
  return {{reinterpret_cast<U8>(
      _mm512_maskz_inserti64x4(0xFF, _mm512_castsi256_si512(simd::CORRAL_ISA::load<__m256i>(a)),
                               simd::CORRAL_ISA::load<__m256i>(b), 1))}};
}
/// The low halves of the 16 bytes at each of two places, then the high ones, less 8 or not.
template <bool kLess8 = false>
inline Bytes two_nibbles(const std::byte* a, const std::byte* b) {
  // Loads that repeat what they read cost less than a permutation.
  const __m512i first = _mm512_maskz_broadcast_i32x4(0xFFFF, simd::CORRAL_ISA::load<__m128i>(a));
  const __m512i both = _mm512_mask_broadcast_i64x2(first, 0xF0, simd::CORRAL_ISA::load<__m128i>(b));
  return moved<0x0F, 0, -4, 0, -4, kLess8>({{reinterpret_cast<U8>(both)}});
}

/// Four blocks of 32 values, RowBlocks or LooseBlocks.
template <class Format, class Blocks>
struct WholeBlocks {
  static constexpr bool kTakesSigned = true;
  Blocks blocks;

  Codes pair(int at) const {
    return {two_pairs(blocks.at(0) + at, blocks.at(1) + at),
            two_pairs(blocks.at(2) + at, blocks.at(3) + at)};
  }
  template <int kAt>
  Codes nibbles_at() const {
    const auto at = [&](int g) { return blocks.at(g) + kAt; };
    return {two_nibbles<kLess8<Format>>(at(0), at(1)), two_nibbles<kLess8<Format>>(at(2), at(3))};
  }
  Codes fifth_bits(int at) const {
    const auto two = [&](int g) {
      const uint64_t high = load_word<uint32_t>(blocks.at(g + 1) + at);
      return spread_bits(load_word<uint32_t>(blocks.at(g) + at) | high << 32, 0x10);
    };
    return {two(0), two(2)};
  }
};

/// Half of a block of 256 values.
struct WholeGroupsOfRow {
  static constexpr bool kTakesSigned = true;
  const std::byte* block;

  template <int kA, int kB, int kC, int kD>
  Codes pairs(int at) const {
    return {two_pairs(block + at + 16 * kA, block + at + 16 * kB),
            two_pairs(block + at + 16 * kC, block + at + 16 * kD)};
  }
  Codes same_pair(int at) const {
    const Bytes both = two_pairs(block + at, block + at);
    return {both, both};
  }
  template <int kA, int kB, int kC, int kD>
  Codes nibbles_at(int at) const {
    return {two_nibbles(block + at + 16 * kA, block + at + 16 * kB),
            two_nibbles(block + at + 16 * kC, block + at + 16 * kD)};
  }
  template <uint8_t kMask, int kA, int kB, int kC, int kD>
  static Codes shifted(const Codes& x) {
    return {moved<kMask, kA, kA, kB, kB>(x.first), moved<kMask, kC, kC, kD, kD>(x.last)};
  }
  template <uint8_t kMask, int kA, int kB, int kC, int kD>
  static Codes fields(const Codes& x) {
    return shifted<kMask, -kA, -kB, -kC, -kD>(x);
  }
};

/// The groups of a quad of a row of B; part `part` of the step at `at`.
template <class Format>
inline Codes whole_groups(const std::byte* at, int part) {
  if constexpr (Format::kStepQuads == 1) {
    return Format::codes(WholeBlocks<Format, RowBlocks<Format>>{{at}}, part);
  } else {
    return Format::codes(WholeGroupsOfRow{at}, part);
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
