#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::quant {

// The block formats of GGUF that store 32 values as codes of four or five bits and one scale, with
// or without an offset. Everything is little endian and without alignment.
//
//         bytes  layout                                  value
//   Q4_0     18  f16 d, 16 bytes of codes                d (code - 8)
//   Q4_1     20  f16 d, f16 m, 16 bytes of codes         d code + m
//   Q5_0     22  f16 d, u32 high, 16 bytes of codes      d (code - 16)
//   Q5_1     24  f16 d, f16 m, u32 high, 16 bytes        d code + m
//
// The low half of byte i is element i, its high half element i + 16; bit i of `high` is the fifth
// bit of element i. Source: block_q4_0 and its neighbours in ggml/src/ggml-common.h of llama.cpp.

/// n values, a multiple of 32, from n / 32 blocks. Products are exact in f32; the sums of Q4_1 and
/// Q5_1 are rounded once.
void dequantize_row_q4_0(const std::byte* blocks, float* x, int64_t n);
void dequantize_row_q4_1(const std::byte* blocks, float* x, int64_t n);
void dequantize_row_q5_0(const std::byte* blocks, float* x, int64_t n);
void dequantize_row_q5_1(const std::byte* blocks, float* x, int64_t n);

/// n / 32 blocks from n values, a multiple of 32; scale and offset by
/// quant/scale_search.h. importance: n weights of the
/// squared errors, or null for equal ones. Throws Error for values that are not finite or too large
/// for the f16 scales.
void quantize_row_q4_0(const float* x, const float* importance, std::byte* blocks, int64_t n);
void quantize_row_q4_1(const float* x, const float* importance, std::byte* blocks, int64_t n);
void quantize_row_q5_0(const float* x, const float* importance, std::byte* blocks, int64_t n);
void quantize_row_q5_1(const float* x, const float* importance, std::byte* blocks, int64_t n);

}  // namespace corral::quant
