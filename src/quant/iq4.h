#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace corral::quant {

// Block formats of GGUF whose four-bit codes stand for unevenly spaced values: dense around zero,
// where weights are.
//
// IQ4_NL, 32 values in 18 bytes: f16 d; 16 bytes of codes, the low half of byte i for element i,
// the high half for element i + 16. Value: d kIq4Values[code].
//
// IQ4_XS, 256 values in 136 bytes, eight groups of 32 with a scale of six bits each:
//
//   bytes    0-1  f16 d
//            2-3  u16, bits 2g and 2g + 1: the upper bits of scale g
//            4-7  the lower four bits of the scales: byte g / 2, low half for even g
//          8-135  16 bytes of codes a group, ordered as in IQ4_NL
//
// Value: d (scale - 32) kIq4Values[code]. Source: block_iq4_nl, block_iq4_xs and kvalues_iq4nl in
// ggml/src/ggml-common.h of llama.cpp.

inline constexpr std::array<int8_t, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

/// n values, a multiple of 32 (256 for IQ4_XS); exact in f32.
void dequantize_row_iq4_nl(const std::byte* blocks, float* x, int64_t n);
void dequantize_row_iq4_xs(const std::byte* blocks, float* x, int64_t n);

/// n / 32 (256) blocks from n values, a multiple of 32 (256); scales by
/// quant/scale_search.h and quant/two_level.h. importance: n weights of the
/// squared errors, or null for equal ones. Throws Error for values that are not finite or too large
/// for the f16 scales.
void quantize_row_iq4_nl(const float* x, const float* importance, std::byte* blocks, int64_t n);
void quantize_row_iq4_xs(const float* x, const float* importance, std::byte* blocks, int64_t n);

}  // namespace corral::quant
