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

/// Where the numbers of a row of A are: that of a quad, a half of its groups, and one of its four
/// groups.
struct RowPlaces {
  int64_t first;
  int64_t quad;
  int64_t half;
  int64_t group;

  int64_t at(int64_t q, int64_t h, int64_t g) const {
    return first + q * quad + h * half + g * group;
  }
};

/// The order of the numbers of A. A group has one or two of each kind, its halves.
struct RowOrder {
  int64_t rows;
  int64_t quads;
  // 0: row after row, [rows, quads, halves, 4]. Otherwise tiles of at most so many rows, as nearly
  // the same as can be, since a tile of a single row would wait for its own sums: of each tile
  // [4, quads, halves, its rows], the order in which it is multiplied.
  int64_t tile_rows;

  int64_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  /// The first row of a tile; of the tile behind the last, the number of rows.
  int64_t first_row(int64_t tile) const { return tile * rows / tiles(); }

  RowPlaces places(int64_t row, int64_t halves) const {
    const int64_t row_numbers = quads * halves * kQuadGroups;
    if (tile_rows == 0) return {row * row_numbers, halves * kQuadGroups, kQuadGroups, 1};
    const int64_t tile = ((row + 1) * tiles() - 1) / rows;
    const int64_t first = first_row(tile);
    const int64_t own = first_row(tile + 1) - first;
    return {first * row_numbers + row - first, halves * own, own, quads * halves * own};
  }
};

/// Rows of A as bytes: a piece is the 16 bytes of a half of a group. Formats with a scale for every
/// 16 values have two sums a group, the others one.
struct BlockRows {
  int8_t* bytes;   // of every half of a group, 16
  float* scales;   // of every group
  int32_t* start;  // of every group, or of its halves: -offset * the sum of the bytes
  float* sums;     // likewise: -scale * the sum of the bytes
  RowOrder order;
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
  int64_t halves;     // scales a group: 1 or 2
  int64_t tile_rows;  // of A in the order of `panels`; that of `rows` is row after row
  /// Quantizes 32 * groups floats as row `row` of a: scale = max|x| / 127, byte = x / scale to
  /// nearest even. A group that holds a value that is not finite gets the scale NaN, so that the
  /// product shows it.
  void (*quantize)(const float* x, int64_t groups, const BlockRows& a, int64_t row);
  /// Reads B once for a few rows of A: for products that wait for memory. No scratch.
  void (*rows)(const BlockPiece& piece);
  /// Unpacks B into panels that all rows of A use. `scratch`: panel_scratch_bytes(m, quads).
  void (*panels)(const BlockPiece& piece, std::byte* scratch);
  int64_t (*panel_scratch_bytes)(int64_t m, int64_t quads);
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
