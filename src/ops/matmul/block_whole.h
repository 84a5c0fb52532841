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

/// The matrix with which gf2p8affineqb brings bit i - bits of a byte to bit i, if `mask` has that.
/// Bits of `sign` are all that of the highest bit of the mask.
constexpr int64_t bits_moved(int bits, unsigned mask, unsigned sign = 0) {
  uint64_t rows = 0;  // the row of bit i is byte 7 - i
  for (int i = 0; i < 8; ++i) {
    int to = i;
    while ((sign >> i & 1) != 0 && (mask >> to & 1) == 0) --to;
    const int from = to - bits;
    if ((mask >> to & 1) != 0 && from >= 0 && from < 8) {
      rows |= uint64_t{1} << (8 * (7 - i) + from);
    }
  }
  return static_cast<int64_t>(rows);
}

/// Every byte shifted to the left by its lane's number of bits, or to the right by a negative
/// number, and masked. With kLess8 the mask is four bits, and 8 is taken off.
template <uint8_t kMask, int kA, int kB, int kC, int kD, bool kLess8 = false>
inline Bytes moved(const Bytes& x) {
  // Less 8 a number of four bits has the opposite of its highest bit in all above.
  constexpr unsigned kSign = kLess8 ? 0xF0 : 0;
  constexpr int kFlipped = kLess8 ? 0xF8 : 0;
  constexpr int64_t kMatrix[4] = {bits_moved(kA, kMask, kSign), bits_moved(kB, kMask, kSign),
                                  bits_moved(kC, kMask, kSign), bits_moved(kD, kMask, kSign)};
  const __m512i matrix = _mm512_setr_epi64(kMatrix[0], kMatrix[0], kMatrix[1], kMatrix[1],
                                           kMatrix[2], kMatrix[2], kMatrix[3], kMatrix[3]);
  return {{reinterpret_cast<U8>(
      _mm512_gf2p8affine_epi64_epi8(reinterpret_cast<__m512i>(x.part[0]), matrix, kFlipped))}};
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
  const __m256i first = _mm256_broadcastsi128_si256(simd::CORRAL_ISA::load<__m128i>(a));
  const __m256i last = _mm256_broadcastsi128_si256(simd::CORRAL_ISA::load<__m128i>(b));
  const __m512i both = _mm512_maskz_inserti64x4(0xFF, _mm512_castsi256_si512(first), last, 1);
  return moved<0x0F, 0, -4, 0, -4, kLess8>({{reinterpret_cast<U8>(both)}});
}
/// Which bytes of a vector are the 16 at kFirst, twice, and those kStride further on.
template <int kFirst, int kStride>
struct TwiceTheBytes {
  alignas(64) uint8_t index[64] = {};

  constexpr TwiceTheBytes() {
    for (int i = 0; i < 64; ++i) {
      index[i] = static_cast<uint8_t>(kFirst + i / 32 * kStride + i % 16);
    }
  }
};
template <int kFirst, int kStride>
constexpr TwiceTheBytes<kFirst, kStride> kTwiceTheBytes;

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
    constexpr int kStride = Format::kBlockBytes;
    if constexpr (Blocks::kNeighbours && kStride + kAt + 16 <= 64) {
      // The last two are at the end of another vector.
      constexpr int kBehind = 4 * kStride - 64;
      return {two<kAt>(blocks.row), two<2 * kStride + kAt - kBehind>(blocks.row + kBehind)};
    } else {
      const auto at = [&](int g) { return blocks.at(g) + kAt; };
      return {two_nibbles<kLess8<Format>>(at(0), at(1)), two_nibbles<kLess8<Format>>(at(2), at(3))};
    }
  }
  Codes fifth_bits(int at) const {
    const auto two = [&](int g) {
      const uint64_t high = load_word<uint32_t>(blocks.at(g + 1) + at);
      return spread_bits(load_word<uint32_t>(blocks.at(g) + at) | high << 32, 0x10);
    };
    return {two(0), two(2)};
  }

 private:
  template <int kFirst>
  static Bytes two(const std::byte* at) {
    const auto order =
        simd::CORRAL_ISA::load<__m512i>(kTwiceTheBytes<kFirst, Format::kBlockBytes>.index);
    return moved<0x0F, 0, -4, 0, -4, kLess8<Format>>(
        {{reinterpret_cast<U8>(_mm512_maskz_permutexvar_epi8(
            ~__mmask64{0}, order, simd::CORRAL_ISA::load<__m512i>(at)))}});
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

/// The scales of that quad of four rows.
template <class Format>
inline Scales<Format::kHalves> whole_scales(RowsAt at, int part) {
  if constexpr (Format::kStepQuads == 1) {
    return Format::scales(at, part);
  } else {
    return Format::scales(FourWholeRows(at), part);
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
