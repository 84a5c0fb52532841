#pragma once

#include <cstdint>

#include "quant/linear_weight.h"

namespace corral::quant {

// Weights whose elements are codes with scales beside them, not inside blocks: the FP8 release of
// Maverick and group-wise int4 (compressed-tensors' float-quantized and pack-quantized). The value
// of an element is its code's value times the scale of its group; groups are runs of
// in_features / groups elements of a row (FP8 has one a row).

/// E4M3 without infinities: 1 sign, 4 exponent (bias 7), 3 mantissa bits; 0x7F and 0xFF are NaN.
/// Source: OCP 8-bit Floating Point Specification, 5.2.
float f8_e4m3_to_f32(uint8_t code);
/// Rounded to nearest even, beyond +-448 to +-448; NaN stays NaN.
uint8_t f32_to_f8_e4m3(float value);

/// Rows [first, first + n) of matrix `index` of a coded weight as f32 [n, in_features].
void decode_rows(const LinearWeight& weight, int64_t index, int64_t first, int64_t n, float* out);

/// Throws ShapeError unless data and scales of a coded weight hold what its numbers say.
void check_coded(const char* op, const LinearWeight& weight);

/// Elements of an int4 group for rows of this length: 128 as in Meta's reference, or the largest
/// power of two below that divides the row.
int64_t int4_group(int64_t in_features);

/// A float weight (or any that dense_f32() reads) in int4, in memory of its own: for each group
/// scale = max(|x|, 1e-6) / 8, q = round(x / scale) in [-8, 7]. Source: int4_row_quantize of
/// FBGEMM, which Meta's reference calls.
LinearWeight encode_int4(const LinearWeight& weight);
/// The same in FP8, one scale a row: max|x| / 448. Source: fp8_row_quantize_ref of FBGEMM.
LinearWeight encode_f8(const LinearWeight& weight);

}  // namespace corral::quant
