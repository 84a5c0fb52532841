#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::quant {

// Q2_K, a block format of GGUF: 256 values in 16 groups of 16, codes of two bits, every group with
// a scale and an offset of four bits. 84 bytes:
//
//    0-15  byte g: scale of group g in the low half, offset in the high one
//   16-79  codes: element e is in byte 32 (e / 128) + e % 32, bits 2 j and 2 j + 1 with
//          j = e % 128 / 32
//   80-81  f16 d
//   82-83  f16 dmin
//
// Value: d scale[g] code - dmin offset[g]. Source: block_q2_K in ggml/src/ggml-common.h of
// llama.cpp.

/// n values, a multiple of 256. Products are exact in f32, the difference is rounded once.
void dequantize_row_q2_k(const std::byte* blocks, float* x, int64_t n);

/// n / 256 blocks from n values, a multiple of 256; scales and offsets by
/// quant/two_level.h. importance: n weights of the
/// squared errors, or null for equal ones. Throws Error for values that are not finite or too large
/// for the f16 scales.
void quantize_row_q2_k(const float* x, const float* importance, std::byte* blocks, int64_t n);

}  // namespace corral::quant
