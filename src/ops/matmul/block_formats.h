#pragma once

// The block formats, unpacked four groups of 32 values at a time. A format is all that the kernels
// know about a kind of block: codes() of a row and scales() of four rows. The layouts are explained
// in quant/. For *_isa.cc files.

#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_scales.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// Blocks of 32 values: codes() is given four of them, neighbours in a row or, where a row ends
// inside a quad, one of each of four rows, whose scales are then those of block_scales(); or either
// as whole groups (WholeBlocks); or a word of one of each of sixteen rows (BlockWord). `part` is
// unused.

struct Q8_0 : FormatOf<34, 1, 0, kSigned, false>, HalfScales<Q8_0> {
  static constexpr bool kInterleaves = true;
  template <class Blocks>
  static Codes codes(const Blocks& blocks, int) {
    return wide(blocks, pair_of_blocks<Q8_0, 2>(blocks));
  }
};

struct Q4_0 : FormatOf<18, 1, 8, 15, false>, HalfScales<Q4_0> {
  static constexpr bool kPowers = true;
  template <class Blocks>
  static Codes codes(const Blocks& blocks, int) {
    return nibbles_of_blocks<Q4_0, 2>(blocks);
  }
};

struct Q4_1 : FormatOf<20, 1, 0, 15, true>, HalfScales<Q4_1> {
  static constexpr bool kPowers = true;
  template <class Blocks>
  static Codes codes(const Blocks& blocks, int) {
    return nibbles_of_blocks<Q4_1, 4>(blocks);
  }
};

struct Q5_0 : FormatOf<22, 1, 16, 31, false>, HalfScales<Q5_0> {
  static constexpr int64_t kFewRows = 5;
  template <class Blocks>
  static Codes codes(const Blocks& blocks, int) {
    return merged(nibbles_of_blocks<Q5_0, 6>(blocks), fifth_bits<2>(blocks));
  }
};

struct Q5_1 : FormatOf<24, 1, 0, 31, true>, HalfScales<Q5_1> {
  static constexpr int64_t kFewRows = 5;
  template <class Blocks>
  static Codes codes(const Blocks& blocks, int) {
    return merged(nibbles_of_blocks<Q5_1, 8>(blocks), fifth_bits<4>(blocks));
  }
};

/// Values of the codes of IQ4_NL and IQ4_XS, in two's complement.
// -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
constexpr uint8_t kIq4Bytes[16] = {129, 152, 173, 191, 207, 221, 234, 246,
                                   1,   13,  25,  38,  53,  69,  89,  113};

struct IQ4_NL : FormatOf<18, 1, 0, kSigned, false>, HalfScales<IQ4_NL> {
  static constexpr int64_t kFewRows = 4;
  static constexpr bool kPowers = true;
  template <class Blocks>
  static Codes codes(const Blocks& blocks, int) {
    return wide(blocks, looked_up(kIq4Bytes, nibbles_of_blocks<IQ4_NL, 2>(blocks)));
  }
};

struct MXFP4 : FormatOf<17, 1, 12, 24, false> {
  static constexpr int64_t kFewRows = 4;
  template <class Blocks>
  static Codes codes(const Blocks& blocks, int) {
    return looked_up(kDoubled, nibbles_of_blocks<MXFP4, 1>(blocks));
  }
  static Scales<1> scales(RowsAt rows, int) {
    return {{of_rows(rows,
                     [](const std::byte* row) {
                       return F4{half_scale(row[0]), half_scale(row[kBlockBytes]),
                                 half_scale(row[2 * kBlockBytes]),
                                 half_scale(row[3 * kBlockBytes])};
                     })},
            {}};
  }
  static BlockScales block_scales(RowsAt blocks) {
    return {F4{half_scale(*blocks[0]), half_scale(*blocks[1]), half_scale(*blocks[2]),
               half_scale(*blocks[3])},
            F4{}};
  }

 private:
  /// Twice the values of the codes, plus 12.
  static constexpr uint8_t kDoubled[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                           12, 11, 10, 9,  8,  6,  4,  0};

  /// 2^(exponent - 128): a subnormal for the two smallest exponents.
  static float half_scale(std::byte exponent) {
    const auto e = static_cast<uint32_t>(exponent);
    const uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof(scale));
    return scale;
  }
};

// Blocks of 256 values; codes() is given one of a row (GroupsOfRow, or WholeGroupsOfRow), or a word
// of a group of one of each of sixteen rows (GroupWord), and the number of the half of it that it
// is to unpack.

/// Of two neighbouring groups the first has the low and the second the high halves of 32 bytes.
template <class Block>
inline Codes group_pairs(const Block& block, int at) {
  return Block::template shifted<0x0F, 0, -4, 0, -4>(block.template pairs<0, 0, 2, 2>(at));
}

/// The 6-bit scales and minima of Q4_K and Q5_K.
template <class Rows>
inline auto six_bit_scales(const Rows& rows, int quad) {
  const auto w = rows.four_words(0);
  auto scales = w.word[1] & 0x3F3F3F3Fu;
  auto minima = w.word[2] & 0x3F3F3F3Fu;
  if (quad != 0) {
    scales = (w.word[3] & 0x0F0F0F0Fu) | ((w.word[1] >> 2) & 0x30303030u);
    minima = ((w.word[3] >> 4) & 0x0F0F0F0Fu) | ((w.word[2] >> 2) & 0x30303030u);
  }
  return one_scale(product(floats_of_bytes(scales), halves_of_words<false>(w.word[0])),
                   product(floats_of_bytes(minima), halves_of_words<true>(w.word[0])));
}

struct Q4_K : FormatOf<144, 2, 0, 15, true> {
  static constexpr bool kPowers = true;
  template <class Block>
  static Codes codes(const Block& block, int quad) {
    return Block::template fields<0x0F, 0, 4, 0, 4>(
        block.template pairs<0, 0, 2, 2>(16 + 64 * quad));
  }
  template <class Rows>
  static auto scales(const Rows& rows, int quad) {
    auto all = six_bit_scales(rows, quad);
    all.scale[0] = scales_of_fields<0, 4, 0, 4>(rows, all.scale[0]);
    return all;
  }
};

struct Q5_K : FormatOf<176, 2, 0, 31, true> {
  template <class Block>
  static Codes codes(const Block& block, int quad) {
    const Codes low = group_pairs(block, 48 + 64 * quad);
    const Codes bits = block.same_pair(16);  // bit g of a byte is of group g
    return merged(low, quad == 0 ? Block::template shifted<0x10, 4, 3, 2, 1>(bits)
                                 : Block::template shifted<0x10, 0, -1, -2, -3>(bits));
  }
  template <class Rows>
  static auto scales(const Rows& rows, int quad) {
    return six_bit_scales(rows, quad);
  }
};

struct Q6_K : FormatOf<210, 2, 32, 63, false, 2> {
  static constexpr int kPartner = 2;
  template <class Block>
  static Codes codes(const Block& block, int quad) {
    const Codes low = block.template pairs<0, 2, 0, 2>(64 * quad);
    const Codes high = block.same_pair(128 + 32 * quad);
    return merged(Block::template shifted<0x0F, 0, 0, -4, -4>(low),
                  Block::template shifted<0x30, 4, 2, 0, -2>(high));
  }
  template <class Rows>
  static auto scales(const Rows& rows, int quad) {
    const auto w = rows.four_words(192);
    return sixteen_scales(w.word[2 * quad], w.word[2 * quad + 1],
                          halves_of_words<true>(rows.word(206)));
  }
};

struct Q3_K : FormatOf<110, 2, 4, 7, false, 2> {
  static constexpr bool kPowers = true;
  static constexpr int64_t kFewRows = 4;
  template <class Block>
  static Codes codes(const Block& block, int quad) {
    const Codes low = block.same_pair(32 + 32 * quad);  // group g has bits 2g and 2g + 1
    const Codes high = block.same_pair(0);              // bit g of a byte is of group g
    return merged(Block::template shifted<3, 0, -2, -4, -6>(low),
                  quad == 0 ? Block::template shifted<4, 2, 1, 0, -1>(high)
                            : Block::template shifted<4, -2, -3, -4, -5>(high));
  }
  template <class Rows>
  static auto scales(const Rows& rows, int quad) {
    // Four low bits of a scale in the halves of 8 bytes, two high ones in the quarters of 4 more.
    const auto w = rows.four_words(92);
    const auto low = [&](int i) { return (w.word[i] >> (4 * quad)) & 0x0F0F0F0Fu; };
    const auto high = w.word[3] >> (4 * quad);
    return sixteen_scales(less(low(1) | (high & 0x03030303u) << 4, 32),
                          less(low(2) | ((high >> 2) & 0x03030303u) << 4, 32),
                          halves_of_words<true>(rows.word(106)));
  }
};

struct Q2_K : FormatOf<84, 2, 0, 3, true, 2> {
  static constexpr bool kPowers = true;
  static constexpr int64_t kFewRows = 4;
  template <class Block>
  static Codes codes(const Block& block, int quad) {
    // Group g has bits 2g and 2g + 1.
    return Block::template fields<3, 0, 2, 4, 6>(block.same_pair(16 + 32 * quad));
  }
  template <class Rows>
  static auto scales(const Rows& rows, int quad) {
    constexpr uint32_t kLow = 0x0F0F0F0Fu;
    const auto w = rows.four_words(0);
    const auto a = w.word[2 * quad];
    const auto b = w.word[2 * quad + 1];
    const auto d = rows.word(80);
    auto scales = sixteen_scales(a & kLow, b & kLow, halves_of_words<false>(d));
    const auto minima = sixteen_scales((a >> 4) & kLow, (b >> 4) & kLow, halves_of_words<true>(d));
    for (int half = 0; half < 2; ++half) {
      scales.scale[half] = scales_of_fields<0, 2, 4, 6>(rows, scales.scale[half]);
      scales.minimum[half] = minima.scale[half];
    }
    return scales;
  }
};

struct IQ4_XS : FormatOf<136, 2, 0, kSigned, false> {
  static constexpr bool kPowers = true;
  template <class Block>
  static Codes codes(const Block& block, int quad) {
    return wide(block, looked_up(kIq4Bytes, block.template nibbles_at<0, 1, 2, 3>(8 + 64 * quad)));
  }
  template <class Rows>
  static auto scales(const Rows& rows, int quad) {
    // Four low bits of a scale in the halves of 4 bytes, two high ones in the quarters of 2 more.
    const auto d = rows.word(0);
    auto low = (rows.word(4) >> (16 * quad)) & 0xFFFFu;
    low = (low | low << 8) & 0x00FF00FFu;
    low = (low | low << 4) & 0x0F0F0F0Fu;
    auto high = (d >> (16 + 8 * quad)) & 0xFFu;
    high = (high | high << 12) & 0x000F000Fu;
    high = (high | high << 6) & 0x03030303u;
    return one_scale(
        product(floats_of_signed_bytes(less(low | high << 4, 32)), halves_of_words<false>(d)));
  }
};

/// make.operator()<Format>() of every format: the one list of them for the kernels.
template <class T, class Make>
constexpr OfBlocks<T> of_formats(const Make& make) {
  return {.q8_0 = make.template operator()<Q8_0>(),
          .q4_0 = make.template operator()<Q4_0>(),
          .q4_1 = make.template operator()<Q4_1>(),
          .q5_0 = make.template operator()<Q5_0>(),
          .q5_1 = make.template operator()<Q5_1>(),
          .iq4_nl = make.template operator()<IQ4_NL>(),
          .mxfp4 = make.template operator()<MXFP4>(),
          .q2_k = make.template operator()<Q2_K>(),
          .q3_k = make.template operator()<Q3_K>(),
          .q4_k = make.template operator()<Q4_K>(),
          .q5_k = make.template operator()<Q5_K>(),
          .q6_k = make.template operator()<Q6_K>(),
          .iq4_xs = make.template operator()<IQ4_XS>()};
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
