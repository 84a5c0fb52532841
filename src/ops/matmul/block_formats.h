#pragma once

// The block formats, each unpacked four groups of 32 values at a time. A format is all that the
// kernels know about a kind of block; the layouts are explained in quant/. For *_isa.cc files.

#include "ops/matmul/block_quad.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// Blocks of 32 values; unpack() is given four of them.

/// The 16 bytes at `at` of each of four blocks.
template <class Format>
inline Bytes piece_of_blocks(const std::byte* at) {
  constexpr int kStride = Format::kBlockBytes;
  return bytes_of_lanes(load16(at), load16(at + kStride), load16(at + 2 * kStride),
                        load16(at + 3 * kStride));
}

/// The fifth bits, 32 of them at `at` of each of four blocks: of the first or of the last values.
template <class Format>
inline Bytes fifth_bits(const std::byte* at, int half) {
  uint64_t bits = 0;
  for (int g = 3; g >= 0; --g) {
    bits = bits << 16 | load_word<uint16_t>(at + g * Format::kBlockBytes + 2 * half);
  }
  return spread_bits(bits, 0x10);
}

struct Q8_0 : FormatOf<34, 1, 0, true, false> {
  static Quad<1> unpack(const std::byte* at, int) {
    return {wide(piece_of_blocks<Q8_0>(at + 2)),
            wide(piece_of_blocks<Q8_0>(at + 18)),
            {halves_at(at, kBlockBytes)},
            {}};
  }
};

struct Q4_0 : FormatOf<18, 1, 8, false, false> {
  static Quad<1> unpack(const std::byte* at, int) {
    const Bytes both = piece_of_blocks<Q4_0>(at + 2);
    return {low_nibbles(both), high_nibbles(both), {halves_at(at, kBlockBytes)}, {}};
  }
};

struct Q4_1 : FormatOf<20, 1, 0, false, true> {
  static Quad<1> unpack(const std::byte* at, int) {
    const Bytes both = piece_of_blocks<Q4_1>(at + 4);
    return {low_nibbles(both),
            high_nibbles(both),
            {halves_at(at, kBlockBytes)},
            {-halves_at(at + 2, kBlockBytes)}};
  }
};

struct Q5_0 : FormatOf<22, 1, 16, false, false> {
  static Quad<1> unpack(const std::byte* at, int) {
    const Bytes both = piece_of_blocks<Q5_0>(at + 6);
    return {merged(low_nibbles(both), fifth_bits<Q5_0>(at + 2, 0)),
            merged(high_nibbles(both), fifth_bits<Q5_0>(at + 2, 1)),
            {halves_at(at, kBlockBytes)},
            {}};
  }
};

struct Q5_1 : FormatOf<24, 1, 0, false, true> {
  static Quad<1> unpack(const std::byte* at, int) {
    const Bytes both = piece_of_blocks<Q5_1>(at + 8);
    return {merged(low_nibbles(both), fifth_bits<Q5_1>(at + 4, 0)),
            merged(high_nibbles(both), fifth_bits<Q5_1>(at + 4, 1)),
            {halves_at(at, kBlockBytes)},
            {-halves_at(at + 2, kBlockBytes)}};
  }
};

/// Values of the codes of IQ4_NL and IQ4_XS, in two's complement.
// -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
constexpr uint8_t kIq4Bytes[16] = {129, 152, 173, 191, 207, 221, 234, 246,
                                   1,   13,  25,  38,  53,  69,  89,  113};

struct IQ4_NL : FormatOf<18, 1, 0, true, false> {
  static Quad<1> unpack(const std::byte* at, int) {
    const Bytes both = piece_of_blocks<IQ4_NL>(at + 2);
    return {wide(looked_up(kIq4Bytes, low_nibbles(both))),
            wide(looked_up(kIq4Bytes, high_nibbles(both))),
            {halves_at(at, kBlockBytes)},
            {}};
  }
};

struct MXFP4 : FormatOf<17, 1, 12, false, false> {
  static Quad<1> unpack(const std::byte* at, int) {
    const Bytes both = piece_of_blocks<MXFP4>(at + 1);
    return {looked_up(kDoubled, low_nibbles(both)),
            looked_up(kDoubled, high_nibbles(both)),
            {F4{half_scale(at[0]), half_scale(at[kBlockBytes]), half_scale(at[2 * kBlockBytes]),
                half_scale(at[3 * kBlockBytes])}},
            {}};
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

// Blocks of 256 values; unpack() is given one and the number of the half that it is to unpack.

/// The 6-bit scales and minima of Q4_K and Q5_K, four at a time.
struct SixBits {
  F4 scale;
  F4 minimum;

  static SixBits unpack(const std::byte* at, int quad) {
    uint32_t words[3];
    std::memcpy(words, at + 4, sizeof(words));
    uint32_t scales = words[0] & 0x3F3F3F3Fu;
    uint32_t minima = words[1] & 0x3F3F3F3Fu;
    if (quad != 0) {
      scales = (words[2] & 0x0F0F0F0Fu) | ((words[0] >> 2) & 0x30303030u);
      minima = ((words[2] >> 4) & 0x0F0F0F0Fu) | ((words[1] >> 2) & 0x30303030u);
    }
    return {floats_of_bytes(scales) * half_at(at), floats_of_bytes(minima) * half_at(at + 2)};
  }
};

/// 16 values of each of four groups: 32 bytes hold a group in their low and the next one in their
/// high halves.
inline Bytes group_pairs(const std::byte* at) {
  const U8x16 a = load16(at);
  const U8x16 b = load16(at + 32);
  return bytes_of_lanes(a & 0x0F, shifted_right<4>(a, 0x0F), b & 0x0F, shifted_right<4>(b, 0x0F));
}

struct Q4_K : FormatOf<144, 2, 0, false, true> {
  static Quad<1> unpack(const std::byte* at, int quad) {
    const SixBits scales = SixBits::unpack(at, quad);
    const std::byte* codes = at + 16 + 64 * quad;
    return {group_pairs(codes), group_pairs(codes + 16), {scales.scale}, {scales.minimum}};
  }
};

struct Q5_K : FormatOf<176, 2, 0, false, true> {
  static Quad<1> unpack(const std::byte* at, int quad) {
    const SixBits scales = SixBits::unpack(at, quad);
    const auto bytes = [&](int half) {
      U8x16 high = load16(at + 16 + 16 * half);  // bit g is of group g
      if (quad != 0) high = shifted_right<4>(high, 0x0F);
      return merged(group_pairs(at + 48 + 64 * quad + 16 * half),
                    bytes_of_lanes(shifted_left<4>(high, 0x10), shifted_left<3>(high, 0x10),
                                   shifted_left<2>(high, 0x10), shifted_left<1>(high, 0x10)));
    };
    return {bytes(0), bytes(1), {scales.scale}, {scales.minimum}};
  }
};

/// Scales of 16 values each, two a group.
struct SixteenScales {
  F4 first;
  F4 last;

  static SixteenScales of_signed_bytes(uint64_t bytes) {
    return {floats_of_every_second<false>(bytes), floats_of_every_second<true>(bytes)};
  }
};

struct Q6_K : FormatOf<210, 2, 32, false, false, 2> {
  static Quad<2> unpack(const std::byte* at, int quad) {
    const auto scales = SixteenScales::of_signed_bytes(load_word<uint64_t>(at + 192 + 8 * quad));
    const float d = half_at(at + 208);
    const auto bytes = [&](int half) {
      const U8x16 a = load16(at + 64 * quad + 16 * half);
      const U8x16 b = load16(at + 64 * quad + 32 + 16 * half);
      const U8x16 high = load16(at + 128 + 32 * quad + 16 * half);
      return bytes_of_lanes((a & 0x0F) | shifted_left<4>(high, 0x30),
                            (b & 0x0F) | shifted_left<2>(high, 0x30),
                            shifted_right<4>(a, 0x0F) | (high & 0x30),
                            shifted_right<4>(b, 0x0F) | shifted_right<2>(high, 0x30));
    };
    return {bytes(0), bytes(1), {scales.first * d, scales.last * d}, {}};
  }
};

/// The two-bit codes of Q2_K and Q3_K: lane g holds bits 2g and 2g + 1.
inline Bytes two_bits(const std::byte* at) {
  const U8x16 all = load16(at);
  return bytes_of_lanes(all & 3, shifted_right<2>(all, 3), shifted_right<4>(all, 3),
                        shifted_right<6>(all, 3));
}

struct Q3_K : FormatOf<110, 2, 4, false, false, 2> {
  static Quad<2> unpack(const std::byte* at, int quad) {
    const auto scales = SixteenScales::of_signed_bytes(packed_scales(at + 96, quad));
    const float d = half_at(at + 108);
    const auto bytes = [&](int half) {
      U8x16 high = load16(at + 16 * half);  // bit g is of group g
      if (quad != 0) high = shifted_right<4>(high, 0x0F);
      return merged(two_bits(at + 32 + 32 * quad + 16 * half),
                    bytes_of_lanes(shifted_left<2>(high, 4), shifted_left<1>(high, 4), high & 4,
                                   shifted_right<1>(high, 4)));
    };
    return {bytes(0), bytes(1), {(scales.first - 32.0f) * d, (scales.last - 32.0f) * d}, {}};
  }

 private:
  /// Eight scales of six bits: four low ones in the halves of 8 bytes, two high ones in the
  /// quarters of 4 more.
  static uint64_t packed_scales(const std::byte* at, int quad) {
    const uint64_t low = (load_word<uint64_t>(at) >> (4 * quad)) & 0x0F0F0F0F0F0F0F0Fu;
    const uint32_t high = load_word<uint32_t>(at + 8) >> (4 * quad);
    const uint64_t both = (high & 0x03030303u) | uint64_t{(high >> 2) & 0x03030303u} << 32;
    return low | both << 4;
  }
};

struct Q2_K : FormatOf<84, 2, 0, false, true, 2> {
  static Quad<2> unpack(const std::byte* at, int quad) {
    constexpr uint64_t kLow = 0x0F0F0F0F0F0F0F0Fu;
    const auto packed = load_word<uint64_t>(at + 8 * quad);
    const auto scales = SixteenScales::of_signed_bytes(packed & kLow);
    const auto minima = SixteenScales::of_signed_bytes((packed >> 4) & kLow);
    const float d = half_at(at + 80);
    const float m = half_at(at + 82);
    const std::byte* codes = at + 16 + 32 * quad;
    return {two_bits(codes),
            two_bits(codes + 16),
            {scales.first * d, scales.last * d},
            {minima.first * m, minima.last * m}};
  }
};

struct IQ4_XS : FormatOf<136, 2, 0, true, false> {
  static Quad<1> unpack(const std::byte* at, int quad) {
    const std::byte* codes = at + 8 + 64 * quad;
    const Bytes both =
        bytes_of_lanes(load16(codes), load16(codes + 16), load16(codes + 32), load16(codes + 48));
    const uint32_t low = load_word<uint16_t>(at + 4 + 2 * quad);
    const uint32_t high = uint32_t{load_word<uint16_t>(at + 2)} >> (8 * quad);
    uint32_t scales = 0;
    for (int g = 0; g < 4; ++g) {
      scales |= (((low >> (4 * g)) & 15) | ((high >> (2 * g)) & 3) << 4) << (8 * g);
    }
    return {wide(looked_up(kIq4Bytes, low_nibbles(both))),
            wide(looked_up(kIq4Bytes, high_nibbles(both))),
            {(floats_of_bytes(scales) - 32.0f) * half_at(at)},
            {}};
  }
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
