#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::quant {

// Q6_K, a block format of GGUF: 256 values in 16 groups of 16, codes of six bits, every group with
// a scale of eight bits. 210 bytes:
//
//     0-127  lower four bits: with h = e / 128 and r = e % 128, element e is in byte 64 h + r % 64,
//            the low half for r < 64
//   128-191  upper two bits: byte 32 h + e % 32, bits 2 (r / 32) and above
//   192-207  i8 scale of group g
//   208-209  f16 d
//
// Value: d scale[g] (code - 32). Source: block_q6_K in ggml/src/ggml-common.h of llama.cpp.

/// n values, a multiple of 256; exact in f32.
void dequantize_row_q6_k(const std::byte* blocks, float* x, int64_t n);

/// n / 256 blocks from n values, a multiple of 256; scales by
/// quant/two_level.h. importance: n weights of the
/// squared errors, or null for equal ones. Throws Error for values that are not finite or too large
/// for the f16 scales.
void quantize_row_q6_k(const float* x, const float* importance, std::byte* blocks, int64_t n);

}  // namespace corral::quant
