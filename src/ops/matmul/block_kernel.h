#pragma once

// What block_product.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc
// files may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

// A group is 32 neighbours along K that are multiplied exactly, in integers; a quad is four groups.
// Rows are padded to whole quads with groups of zeros.
inline constexpr int64_t kGroup = 32;
inline constexpr int64_t kQuadGroups = 4;
inline constexpr int64_t kQuad = kGroup * kQuadGroups;

/// Rows of A as bytes. A quad's bytes are the first 16 of each of its groups, then the last 16 of
/// each: the order in which the kernels unpack B. Formats with a scale for every 16 values have two
/// sums a group, [quads, 2, 4]; the others one, [quads, 4].
struct BlockRows {
  int8_t* bytes;   // [rows, quads, 2, 4, 16]
  float* scales;   // [rows, quads, 4]
  int32_t* start;  // [rows, quads, halves, 4]: -offset * the sum of the bytes
  float* sums;     // [rows, quads, halves, 4]: -scale * the sum of the bytes
};

/// A piece of C (+)= A B^T with B in blocks.
struct BlockPiece {
  BlockRows a;
  const std::byte* b;
  int64_t b_row_bytes;
  float* c;
  int64_t c_row_stride;
  int64_t c_col_stride;
  int64_t m;
  int64_t n;
  int64_t groups;
  bool accumulate;

  int64_t quads() const { return (groups + kQuadGroups - 1) / kQuadGroups; }
};

/// The kernels of a block format on an instruction set.
///
/// An element of C is the sum of four chains: chain i takes the groups g with g mod 4 = i in their
/// order. A step of a chain is
///     chain = fma(float(dot), scale_a * scale_b, chain)     dot: exact, in integers
/// once, or for the first and then the last 16 values of the group where they have a scale each;
/// and, in formats with a minimum, then chain = fma(sum_a, minimum_b, chain) likewise. At the end
/// ((chain 0 + chain 1) + chain 2) + chain 3 is written, or added to C. `rows` and `panels` give
/// the same bits.
struct BlockKernel {
  int64_t halves;  // scales a group: 1 or 2
  /// Quantizes 32 * groups floats as row `row` of a: scale = max|x| / 127, byte = x / scale to
  /// nearest even. A group that holds a value that is not finite gets the scale NaN, so that the
  /// product shows it.
  void (*quantize)(const float* x, int64_t groups, const BlockRows& a, int64_t row);
  /// Reads B once for a few rows of A: for products that wait for memory. No scratch.
  void (*rows)(const BlockPiece& piece);
  /// Unpacks B into panels that all rows of A use. `scratch`: panel_scratch_bytes(m).
  void (*panels)(const BlockPiece& piece, std::byte* scratch);
  int64_t (*panel_scratch_bytes)(int64_t m);
};

/// The kernels of all formats.
struct BlockKernels {
  BlockKernel q8_0;
  BlockKernel q4_0;
  BlockKernel q4_1;
  BlockKernel q5_0;
  BlockKernel q5_1;
  BlockKernel iq4_nl;
  BlockKernel mxfp4;
  BlockKernel q2_k;
  BlockKernel q3_k;
  BlockKernel q4_k;
  BlockKernel q5_k;
  BlockKernel q6_k;
  BlockKernel iq4_xs;
};

namespace portable {
extern const BlockKernels kBlocks;
}
namespace avx2 {
extern const BlockKernels kBlocks;
}
namespace avx512 {
extern const BlockKernels kBlocks;
}
namespace dotprod {
#if defined(__aarch64__)
extern const BlockKernels kBlocks;
#else
using portable::kBlocks;
#endif
}  // namespace dotprod

}  // namespace corral::ops
