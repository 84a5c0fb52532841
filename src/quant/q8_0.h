#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::quant {

// Q8_0, the block format of GGUF: 32 values x are stored as an f16 scale d and 32 signed bytes q
// with x = d q, 34 bytes, without alignment. Source: block_q8_0 in ggml/src/ggml-common.h and
// quantize_row_q8_0_ref in ggml/src/ggml-quants.c of llama.cpp.

inline constexpr int64_t kQ8BlockElements = 32;
inline constexpr int64_t kQ8BlockBytes = 34;

/// Quantizes n floats, n a multiple of 32, into n / 32 blocks: d = max|x| / 127 in f32, q = x / d
/// rounded to nearest, halves away from zero; then d is rounded to f16. Bit for bit what llama.cpp
/// writes. Throws Error for values that are not finite or beyond 127 times the largest f16 (8.3
/// million).
void quantize_row_q8_0(const float* x, std::byte* blocks, int64_t n);

/// x = d q, exact in f32; n a multiple of 32.
void dequantize_row_q8_0(const std::byte* blocks, float* x, int64_t n);

}  // namespace corral::quant
