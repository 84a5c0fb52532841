#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::quant {

// Q4_K and Q5_K, block formats of GGUF: 256 values in eight groups of 32, every group with a scale
// and an offset of six bits, which have an f16 scale each.
//
//   Q4_K, 144 bytes             Q5_K, 176 bytes
//     0-1    f16 d                0-1    f16 d
//     2-3    f16 dmin             2-3    f16 dmin
//     4-15   scales, offsets      4-15   scales, offsets
//     16-143 codes                16-47  fifth bits
//                                 48-175 codes
//
// Value: d scale[g] code - dmin offset[g].
//
// Codes: groups 2p and 2p + 1 share 32 bytes, the low halves for the even group. The fifth bit of
// element i of group g is bit g of byte i.
// Scales and offsets: for g < 4 the lower six bits of bytes g and g + 4 of the twelve; for others
// the low (scale) and high (offset) half of byte g + 4, and above them the upper two bits of bytes
// g - 4 and g. Source: block_q4_K, block_q5_K and get_scale_min_k4 in ggml of llama.cpp.

/// n values, a multiple of 256. Products are exact in f32, the difference is rounded once.
void dequantize_row_q4_k(const std::byte* blocks, float* x, int64_t n);
void dequantize_row_q5_k(const std::byte* blocks, float* x, int64_t n);

/// n / 256 blocks from n values, a multiple of 256; scales and offsets by
/// quant/two_level.h. importance: n weights of the
/// squared errors, or null for equal ones. Throws Error for values that are not finite or too large
/// for the f16 scales.
void quantize_row_q4_k(const float* x, const float* importance, std::byte* blocks, int64_t n);
void quantize_row_q5_k(const float* x, const float* importance, std::byte* blocks, int64_t n);

}  // namespace corral::quant
