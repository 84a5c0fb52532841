#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::ops {

/// A piece of C = A B^T with B in q8_0 blocks (quant/q8_0.h) and A quantized to bytes with one f32
/// scale for each 32 of them.
struct Q8Piece {
  const int8_t* a;        // [m, 32 blocks]
  const float* a_scales;  // [m, blocks]
  const std::byte* b;     // n rows of blocks
  int64_t b_row_bytes;
  float* c;
  int64_t c_row_stride;
  int64_t c_col_stride;
  int64_t m;
  int64_t n;
  int64_t blocks;
  bool accumulate;
};

struct Q8Kernel {
  /// Quantizes 32 * blocks floats: scale = max|x| / 127, byte = x / scale to nearest even. A block
  /// that holds a value that is not finite gets the scale NaN, so that the product shows it.
  void (*quantize)(const float* x, int64_t blocks, int8_t* bytes, float* scales);
  /// Every element is the sum of eight chains over the blocks: chain i adds scale_a scale_b (the
  /// exact integer product of bytes 4i to 4i + 3), in the order of the blocks; then (i, i + 4),
  /// (i, i + 2) and (i, i + 1) are added.
  void (*multiply)(const Q8Piece& piece);
};

namespace portable {
extern const Q8Kernel kQ8;
}
namespace avx2 {
extern const Q8Kernel kQ8;
}
namespace avx512 {
extern const Q8Kernel kQ8;
}

}  // namespace corral::ops
