#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace corral::quant {

/// What is known of a block type. Everything that handles blocks looks here; the layouts stand in
/// the headers of the formats.
struct BlockFormat {
  DType dtype;
  int64_t elements;  // of a block
  int64_t bytes;     // of a block
  /// x[0, n) from the n / elements blocks, n a multiple of `elements`; bit for bit what the format
  /// defines. Blocks may hold anything: scales that are not finite give values that are not.
  void (*dequantize)(const std::byte* blocks, float* x, int64_t n);
  /// The blocks from x[0, n), n a multiple of `elements`; importance: n weights of the squared
  /// errors, or null for equal ones (q8_0 does without). The same bits on every machine. Throws
  /// Error naming the type for values that are not finite or too large for its scales.
  void (*quantize)(const float* x, const float* importance, std::byte* blocks, int64_t n);
};

/// Throws NotSupported for a type that is not made of blocks.
const BlockFormat& block_format(DType dtype);

}  // namespace corral::quant
