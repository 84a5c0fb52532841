#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::quant {

// Q3_K, a block format of GGUF: 256 values in 16 groups of 16, codes of three bits, every group
// with a scale of six bits. 110 bytes:
//
//     0-31  third bits: of element e bit e / 32 of byte e % 32
//    32-95  lower two bits, ordered as in Q2_K: byte 32 (e / 128) + e % 32, bits 2 (e % 128 / 32)
//   96-107  scales: the lower four bits of scale g in byte g % 8, low half for g < 8; the upper two
//           in byte 8 + g % 4, bits 2 (g / 4) and above
//  108-109  f16 d
//
// Value: d (scale[g] - 32) (code - 4). Source: block_q3_K in ggml/src/ggml-common.h and
// dequantize_row_q3_K in ggml/src/ggml-quants.c of llama.cpp.

/// n values, a multiple of 256; exact in f32.
void dequantize_row_q3_k(const std::byte* blocks, float* x, int64_t n);

/// n / 256 blocks from n values, a multiple of 256; scales by
/// quant/two_level.h. importance: n weights of the
/// squared errors, or null for equal ones. Throws Error for values that are not finite or too large
/// for the f16 scales.
void quantize_row_q3_k(const float* x, const float* importance, std::byte* blocks, int64_t n);

}  // namespace corral::quant
