#pragma once

// What the formats unpack into, and the tools they share. For *_isa.cc files.

#include "ops/matmul/block_lanes.h"
#include "ops/matmul/block_products.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Rows of B that are unpacked side by side.
constexpr int64_t kRowsB = 4;
/// A place in each of them.
using RowsAt = const std::byte* const*;

/// Four groups of a row of B: value = scale * (byte - offset) - minimum. Lane g of each holds
/// values of group g; of views of whole groups (block_whole.h) the lanes of `first` hold groups 0
/// and 1, and those of `last` groups 2 and 3.
struct Codes {
  Bytes first;  // the first 16 values
  Bytes last;
};
inline Codes merged(const Codes& a, const Codes& b) {
  return {merged(a.first, b.first), merged(a.last, b.last)};
}
/// Both halves of bytes that are values of two groups each.
inline Codes nibbles(const Bytes& both) { return {low_nibbles(both), high_nibbles(both)}; }

/// The scales of four groups of some rows, in Numbers: Floats of four rows, with lane g, element j
/// for group g and row j, or GroupFloats of sixteen.
template <size_t kHalves, class Numbers>
struct ScalesOf {
  Numbers scale[kHalves];    // of the groups, or of their first and their last 16 values
  Numbers minimum[kHalves];  // unset in formats without
};
template <size_t kHalves>
using Scales = ScalesOf<kHalves, Floats>;

/// The scales of one group of each of four rows.
struct BlockScales {
  F4 scale;
  F4 minimum;
};

/// The largest byte of formats whose bytes are signed and use all eight bits: wide ones.
inline constexpr int kSigned = 128;

/// The constants of a format. kStepBytes bytes hold kStepQuads quads, in whole blocks; kOffset is
/// taken from every byte, none of which is above `largest`.
template <int block_bytes, int quads, int offset, int largest, bool minimum, size_t halves = 1>
struct FormatOf {
  static_assert(largest == kSigned || largest < 64);

  static constexpr int kBlockBytes = block_bytes;
  static constexpr int kStepQuads = quads;
  static constexpr int kStepBytes = quads == 1 ? 4 * block_bytes : block_bytes;
  static constexpr bool kWide = largest == kSigned;
  static constexpr int kOffset = kWide ? kWideOffset : offset;
  /// Words of a group, or of its halves, whose products are added before they need 32 bits.
  static constexpr int64_t kWords = words_of_sum(largest, offset) < 8 / int64_t{halves}
                                        ? words_of_sum(largest, offset)
                                        : 8 / int64_t{halves};
  // What is taken back is in one sum.
  static_assert(kOffset == 0 || kWords == 8 / int64_t{halves});
  static constexpr bool kMinimum = minimum;
  static constexpr size_t kHalves = halves;
  /// Whether scales of A are powers of two: of codes of at most four bits, whose own rounding is
  /// far coarser.
  static constexpr bool kPowers = false;
  /// Whether there are products with interleaved rows (quant/interleaved.h).
  static constexpr bool kInterleaves = false;
  /// Up to how many rows of A B is not unpacked into panels, where a vector is one register:
  /// measured on a Zen 5 with two threads, batches of sequences whose weights come from memory;
  /// Q5_1 has what its neighbour has.
  static constexpr int64_t kFewRows = 6;
  /// The group that has most of its bytes in common with the first; so have the other two.
  static constexpr int kPartner = 1;
};

// Numbers in the order of blocks: of a row its groups.

template <class T>
inline T load_word(const std::byte* at) {
  T word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

/// f(row) of four rows, transposed.
template <class F>
inline Floats of_rows(RowsAt rows, const F& f) {
  return transposed(f(rows[0]), f(rows[1]), f(rows[2]), f(rows[3]));
}

/// Which 16-bit words of two vectors are the 16 bytes at kAt of each of four blocks, where the
/// first vector begins with the first block and the second ends with the last.
template <int kStride, int kAt>
struct WordsOfBlocks {
  alignas(64) uint16_t index[32] = {};

  constexpr WordsOfBlocks() {
    constexpr int kSecond = 4 * kStride - 64;
    for (int i = 0; i < 32; ++i) {
      const int byte = i / 8 * kStride + kAt + i % 8 * 2;
      index[i] = static_cast<uint16_t>(byte < 64 ? byte / 2 : 32 + (byte - kSecond) / 2);
    }
  }
};
template <int kStride, int kAt>
constexpr WordsOfBlocks<kStride, kAt> kWordsOfBlocks;

/// Which words of two rows' first 64 bytes are the numbers at kAt of four blocks, each word of the
/// first row beside that of the second.
template <int kStride, int kAt>
struct WordsOfRows {
  alignas(64) uint16_t index[32] = {};

  constexpr WordsOfRows() {
    for (int i = 0; i < 16; ++i) {
      index[i] = static_cast<uint16_t>((i / 4 * kStride + kAt) / 2 + 32 * (i % 2));
    }
  }
};
template <int kStride, int kAt>
constexpr WordsOfRows<kStride, kAt> kWordsOfRows;

/// The f16 numbers at `kAt` in four blocks of each row.
template <class Format, int kAt>
inline Floats halves_of_rows(RowsAt rows) {
  constexpr int kStride = Format::kBlockBytes;
#if defined(__AVX512BW__)
  __m256i all;
  if constexpr (kStride % 2 == 0 && 3 * kStride + kAt + 2 <= 64) {
    const auto order = simd::CORRAL_ISA::load<__m512i>(kWordsOfRows<kStride, kAt>.index);
    const auto two = [&](int j) {
      return _mm512_maskz_permutex2var_epi16(~__mmask32{0},
                                             simd::CORRAL_ISA::load<__m512i>(rows[j]), order,
                                             simd::CORRAL_ISA::load<__m512i>(rows[j + 1]));
    };
    all = _mm512_maskz_extracti64x4_epi64(0xF, _mm512_mask_blend_epi16(0xCCCCCCCC, two(0), two(2)),
                                          0);
    return {{reinterpret_cast<F32>(_mm512_maskz_cvtph_ps(0xFFFF, all))}};
  }
  int64_t bits[4] = {};
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
      bits[j] |= int64_t{load_word<uint16_t>(rows[j] + kAt + g * kStride)} << (16 * g);
    }
  }
  all = _mm256_set_epi64x(bits[3], bits[2], bits[1], bits[0]);
  return transposed({{reinterpret_cast<F32>(_mm512_maskz_cvtph_ps(0xFFFF, all))}});
#elif defined(__AVX2__)
  static_assert(kAt == 0 || kAt == 2);
  const auto words = [&](int j, int g) {
    return simd::CORRAL_ISA::load<__m128i>(rows[j] + g * kStride);
  };
  const auto group = [&](int g) {
    const __m128i low = _mm_unpacklo_epi16(words(0, g), words(1, g));
    const __m128i high = _mm_unpacklo_epi16(words(2, g), words(3, g));
    return _mm_unpacklo_epi32(low, high);  // the first of each row, then the second
  };
  const auto two = [&](int g) {
    const __m128i all = kAt == 0 ? _mm_unpacklo_epi64(group(g), group(g + 1))
                                 : _mm_unpackhi_epi64(group(g), group(g + 1));
    return reinterpret_cast<F32>(_mm256_cvtph_ps(all));
  };
  return {{two(0), two(2)}};
#elif defined(__ARM_NEON)
  return of_rows(rows, [](const std::byte* row) -> F4 {
    const std::byte* at = row + kAt;
    const uint16x4_t bits = {load_word<uint16_t>(at), load_word<uint16_t>(at + kStride),
                             load_word<uint16_t>(at + 2 * kStride),
                             load_word<uint16_t>(at + 3 * kStride)};
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
  });
#else
  return of_rows(rows, [](const std::byte* row) {
    const std::byte* at = row + kAt;
    return F4{half_at(at), half_at(at + kStride), half_at(at + 2 * kStride),
              half_at(at + 3 * kStride)};
  });
#endif
}

// Bytes of a row.

/// Four blocks that are neighbours in a row.
template <class Format>
struct RowBlocks {
  static constexpr bool kNeighbours = true;
  const std::byte* row;
  const std::byte* at(int g) const { return row + g * Format::kBlockBytes; }
};
/// Four blocks anywhere.
struct LooseBlocks {
  static constexpr bool kNeighbours = false;
  RowsAt blocks;
  const std::byte* at(int g) const { return blocks[g]; }
};

/// Half of a block of 256 values as lanes: a lane for each of its four groups.
struct GroupsOfRow {
  const std::byte* block;

  /// Lane g holds the 16 bytes at `at` + 16 * the g-th number.
  template <int kA, int kB, int kC, int kD>
  Bytes lanes(int at) const {
    return lanes_at<kA, kB, kC, kD>(block + at);
  }
  /// Group g: the 32 bytes at `at` + 16 * the g-th number.
  template <int kA, int kB, int kC, int kD>
  Codes pairs(int at) const {
    return {lanes<kA, kB, kC, kD>(at), lanes<kA + 1, kB + 1, kC + 1, kD + 1>(at)};
  }
  /// Every group: the 32 bytes at `at`.
  Codes same_pair(int at) const { return {same_lanes(block + at), same_lanes(block + at + 16)}; }
  /// Group g: the low halves of the 16 bytes at `at` + 16 * the g-th number, then the high ones.
  template <int kA, int kB, int kC, int kD>
  Codes nibbles_at(int at) const {
    return nibbles(lanes<kA, kB, kC, kD>(at));
  }
  /// Group g shifted by the g-th number: shifted_lanes.
  template <uint8_t kMask, int kA, int kB, int kC, int kD>
  static Codes shifted(const Codes& x) {
    return {shifted_lanes<kA, kB, kC, kD>(x.first, kMask),
            shifted_lanes<kA, kB, kC, kD>(x.last, kMask)};
  }
  /// Of group g the fields, as wide as the mask, from the g-th number of bits on: times 2 to
  /// that number where the products can take such bytes, for which the scales make up
  /// (scales_of_fields).
  template <uint8_t kMask, int kA, int kB, int kC, int kD>
  static Codes fields(const Codes& x) {
#if defined(CORRAL_DPBUSD)
    const auto lane = [](int bits) { return U32x4{} + (uint32_t{kMask} << bits) * 0x01010101u; };
    const auto own = of_lanes<U32x4, Bytes>(lane(kA), lane(kB), lane(kC), lane(kD));
    const auto of = [&](const Bytes& all) {
      return each<Bytes>([&](int i) { return all.part[i] & own.part[i]; });
    };
    return {of(x.first), of(x.last)};
#else
    return shifted<kMask, -kA, -kB, -kC, -kD>(x);
#endif
  }
};

/// The 16 bytes at `kAt` in each of four blocks.
template <class Format, int kAt, class Blocks>
inline Bytes lanes_of_blocks(const Blocks& blocks) {
#if defined(__AVX512BW__)
  // Two overlapping vectors hold all of a row's blocks.
  constexpr int kStride = Format::kBlockBytes;
  constexpr int kBehind = 4 * kStride - 64;
  if constexpr (Blocks::kNeighbours && kStride % 2 == 0 && kBehind <= 32) {
    return {{reinterpret_cast<U8>(_mm512_maskz_permutex2var_epi16(
        ~__mmask32{0}, simd::CORRAL_ISA::load<__m512i>(blocks.row),
        simd::CORRAL_ISA::load<__m512i>(kWordsOfBlocks<kStride, kAt>.index),
        simd::CORRAL_ISA::load<__m512i>(blocks.row + kBehind)))}};
  }
#endif
  const auto load = [&](int g) { return load16(blocks.at(g) + kAt); };
  return bytes_of_lanes(load(0), load(1), load(2), load(3));
}

// The same, or a word of them in sixteen rows, or whole groups: what the view says.

/// The 32 bytes at kAt of each block.
template <class Format, int kAt, class Blocks>
inline Codes pair_of_blocks(const Blocks& blocks) {
  if constexpr (requires { blocks.pair(kAt); }) {
    return blocks.pair(kAt);
  } else {
    return {lanes_of_blocks<Format, kAt>(blocks), lanes_of_blocks<Format, kAt + 16>(blocks)};
  }
}
/// The low halves of the 16 bytes at kAt of each block, then the high ones.
template <class Format, int kAt, class Blocks>
inline Codes nibbles_of_blocks(const Blocks& blocks) {
  if constexpr (requires { blocks.template nibbles_at<kAt>(); }) {
    return blocks.template nibbles_at<kAt>();
  } else {
    return nibbles(lanes_of_blocks<Format, kAt>(blocks));
  }
}

/// Byte i is `value` where bit i of bits is set, else zero.
inline Bytes spread_bits(uint64_t bits, uint8_t value) {
#if defined(__AVX512BW__)
  return {{reinterpret_cast<U8>(_mm512_maskz_set1_epi8(bits, static_cast<char>(value)))}};
#elif defined(__ARM_NEON)
  const U8x16 own_bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  return each<Bytes>([&](int i) {
    const uint64_t two = bits >> (16 * i);
    const uint8x16_t both = vcombine_u8(vdup_n_u8(static_cast<uint8_t>(two)),
                                        vdup_n_u8(static_cast<uint8_t>(two >> 8)));
    return vtstq_u8(both, own_bit) & value;
  });
#elif defined(__AVX2__)
  const __m256i own_bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  return each<Bytes>([&](int i) {
    // The first byte of each lane eight times, then its second.
    const int64_t two = static_cast<int64_t>(bits >> (32 * i)) & 0xFFFFFFFF;
    const __m256i order =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi64x(two), order);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, own_bit), own_bit);
    return reinterpret_cast<U8>(is_set) & value;
  });
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
#elif defined(__ARM_NEON)
  const uint8x16_t all = vld1q_u8(table);
  return each<Bytes>([&](int i) { return vqtbl1q_u8(all, x.part[i]); });
#else
  return each<Bytes>([&](int i) {
    U8 out{};
    for (int j = 0; j < simd::CORRAL_ISA::kVectorBytes; ++j) out[j] = table[x.part[i][j]];
    return out;
  });
#endif
}

/// The same on both.
inline Codes looked_up(const uint8_t (&table)[16], const Codes& x) {
  return {looked_up(table, x.first), looked_up(table, x.last)};
}

/// Fifth bits of values, 32 of them at `kAt` of each block.
template <int kAt, class Blocks>
inline Codes fifth_bits(const Blocks& blocks) {
  if constexpr (requires { blocks.fifth_bits(kAt); }) {
    return blocks.fifth_bits(kAt);
  } else {
    const auto half = [&](int at) {
      uint64_t bits = 0;
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) {
        bits |= uint64_t{load_word<uint16_t>(blocks.at(g) + at)} << (16 * g);
      }
      return spread_bits(bits, 0x10);
    };
    return {half(kAt), half(kAt + 2)};
  }
}

/// Signed bytes as the products take them.
template <class Blocks>
inline Codes wide(const Blocks&, const Codes& x) {
  if constexpr (requires { Blocks::kTakesSigned; }) {
    return x;
  } else {
    return {wide(x.first), wide(x.last)};
  }
}

/// The scales of a format whose blocks begin with an f16 scale and, if it has one, an f16 minimum.
template <class Format>
struct HalfScales {
  static Scales<1> scales(RowsAt rows, int) {
    Scales<1> all;
    all.scale[0] = halves_of_rows<Format, 0>(rows);
    if constexpr (Format::kMinimum) all.minimum[0] = negative(halves_of_rows<Format, 2>(rows));
    return all;
  }
  static BlockScales block_scales(RowsAt blocks) {
    BlockScales all;
    all.scale = four_halves<0>(blocks);
    if constexpr (Format::kMinimum) all.minimum = -four_halves<2>(blocks);
    return all;
  }

 private:
  template <int kAt>
  static F4 four_halves(RowsAt blocks) {
    return F4{half_at(blocks[0] + kAt), half_at(blocks[1] + kAt), half_at(blocks[2] + kAt),
              half_at(blocks[3] + kAt)};
  }
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
