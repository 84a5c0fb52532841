#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace corral::quant {

// MXFP4, the microscaling format of the Open Compute Project as GGUF stores it: 32 values in 17
// bytes, u8 e and 16 bytes of codes (low half of byte i: element i, high half: element i + 16). A
// code is a float of four bits: sign, two bits of exponent, one of mantissa. Value: 2^(e - 127)
// times 0, 0.5, 1, 1.5, 2, 3, 4 or 6, negative from code 8 on. Source: OCP Microscaling Formats
// v1.0; block_mxfp4 in ggml/src/ggml-common.h of llama.cpp, whose reading of e = 255 (2^128, NaN in
// the specification) and of code 8 (plain zero) is followed here.

/// The values of the codes, doubled.
inline constexpr std::array<int8_t, 16> kMxfp4Doubled = {0, 1,  2,  3,  4,  6,  8,  12,
                                                         0, -1, -2, -3, -4, -6, -8, -12};

/// n values, a multiple of 32; exact in f32, infinite beyond its range.
void dequantize_row_mxfp4(const std::byte* blocks, float* x, int64_t n);

/// n / 32 blocks from n values, a multiple of 32: of the exponents around that of the largest value
/// the one with the smallest error, summed with the weights of `importance` (n, or null for equal
/// ones). Throws Error for values that are not finite.
void quantize_row_mxfp4(const float* x, const float* importance, std::byte* blocks, int64_t n);

}  // namespace corral::quant
