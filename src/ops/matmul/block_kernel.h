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
/// groups, which are two pairs.
struct RowPlaces {
  int64_t first;
  int64_t quad;
  int64_t half;
  int64_t pair;   // of groups
  int64_t group;  // of a pair

  int64_t at(int64_t q, int64_t h, int64_t g) const {
    return first + q * quad + h * half + g / 2 * pair + g % 2 * group;
  }
};

/// The order of the numbers of A, of which a group has one or two of each kind, its halves.
enum class RowForm : uint8_t {
  kRows,  // row after row: [rows, quads, halves, 4]
  // Tiles of at most so many rows, of each [4, quads, halves, its rows], the order in which it is
  // multiplied. Tiles are as nearly the same as can be: one of a single row would wait for its own
  // sums.
  kEvenTiles,
  // The same in tiles of so many rows, as many as a vector has lanes; the last has places for rows
  // that there are not. Of each half the bytes are [4, its rows, 4], as AMX takes them; they are
  // brought there when those of all rows of a tile are known.
  kLanes,
  // In tiles of half as many rows, of each [quads, halves, 2 pairs, its rows, 2 groups]: two groups
  // of a row are lanes side by side. Of bytes block_strips_amx.h knows more.
  kPairs,
};
struct RowOrder {
  int64_t rows;
  int64_t quads;
  RowForm form;
  int64_t tile_rows;

  int64_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  /// The first row of a tile; of the tile behind the last, the number of rows.
  int64_t first_row(int64_t tile) const {
    if (form == RowForm::kEvenTiles) return tile * rows / tiles();
    const int64_t row = tile * tile_rows;
    return row < rows ? row : rows;
  }
  /// Whether tiles have places for rows that there are not, and bytes lie otherwise than the rest.
  bool of_lanes() const { return form == RowForm::kLanes || form == RowForm::kPairs; }
  /// Rows that have places.
  int64_t places() const { return of_lanes() ? tiles() * tile_rows : rows; }

  RowPlaces places_of(int64_t row, int64_t halves) const {
    const int64_t row_numbers = quads * halves * kQuadGroups;
    if (form == RowForm::kRows) return row_places(row, halves);
    const int64_t tile = tile_of(row);
    const int64_t first = first_row(tile);
    const int64_t own = of_lanes() ? tile_rows : first_row(tile + 1) - first;
    const int64_t at = first * row_numbers;
    if (form == RowForm::kPairs) {
      return {at + 2 * (row - first), 4 * halves * own, 4 * own, 2 * own, 1};
    }
    const int64_t group = quads * halves * own;
    return {at + row - first, halves * own, own, 2 * group, group};
  }
  /// The same of pieces of bytes, of lanes as if there were the rows of a tile alone and these lay
  /// row after row.
  RowPlaces places_of_bytes(int64_t row) const {
    return of_lanes() ? row_places(row % tile_rows, 2) : places_of(row, 2);
  }

 private:
  RowPlaces row_places(int64_t row, int64_t halves) const {
    return {row * quads * halves * kQuadGroups, halves * kQuadGroups, kQuadGroups, 2, 1};
  }
  int64_t tile_of(int64_t row) const {
    return form == RowForm::kEvenTiles ? ((row + 1) * tiles() - 1) / rows : row / tile_rows;
  }
};

/// Rows of A as bytes: a piece is the 16 bytes of a half of a group. Formats with a scale for every
/// 16 values have two sums a group, the others one.
struct BlockRows {
  int8_t* bytes;  // of every half of a group, 16
  float* scales;  // of every group
  // Of every group, or of its halves: -offset * the sum of the bytes, as sums of products take it
  // (Products::kTwoStarts).
  int32_t* start;
  float* sums;  // likewise: -scale * the sum of the bytes
  /// Of every row: 0, or NaN where it holds a value that is not finite.
  float* zeros;
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
  // Of kernels that read B as streams, each of the same number of columns: a stretch of these, from
  // one part of so many to another.
  int64_t begin_part;
  int64_t end_part;
  int64_t parts;
  int64_t groups;
  bool accumulate;
  bool far;  // with a single row of A, B is asked for well ahead (tensor/read_ahead.h)

  int64_t quads() const { return (groups + kQuadGroups - 1) / kQuadGroups; }
};

/// The kernel of a block format for many rows of A: unpacks B into panels that all of them use.
struct BlockPanels {
  RowForm form;  // of A, in tiles
  int64_t tile_rows;
  int64_t quad_bytes;  // of A, of each row that has a place
  /// `scratch`: scratch_bytes(m, quads).
  void (*multiply)(const BlockPiece& piece, std::byte* scratch);
  int64_t (*scratch_bytes)(int64_t m, int64_t quads);
  /// RowOrder::of_lanes(): brings the bytes of the rows of a tile, which lie row after row, to
  /// their places in a. Null for the others.
  void (*arrange)(const int8_t* rows, const BlockRows& a, int64_t tile);
};

/// The kernels of a block format for rows of B that are interleaved (quant/interleaved.h). Those of
/// BlockKernel, with A in the same form, and the same bits.
struct InterleavedKernels {
  int64_t columns;  // so many rows of B at a time; 0 where there are no kernels
  bool unsigned_codes;
  void (*rows)(const BlockPiece& piece);
  int64_t few_rows;
  void (*multiply)(const BlockPiece& piece, std::byte* scratch);
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
  bool wide;       // whether codes use all bits of a byte
  /// Quantizes 32 * groups floats as row `row` of a: scale = max|x| / 127, in formats of at most
  /// four bits a code the power of two at or above it and within 2^-100 to 2^100, byte = x / scale
  /// to nearest even. A group that holds a value that is not finite (or needs a larger power) gets
  /// the scale NaN, so that the product shows it.
  void (*quantize)(const float* x, int64_t groups, const BlockRows& a, int64_t row);
  /// Reads B once for a few rows of A, which lie row after row: for products that wait for memory.
  void (*rows)(const BlockPiece& piece);
  int64_t few_rows;  // up to how many it is the faster one
  BlockPanels panels;
  InterleavedKernels interleaved;
};

/// The kernels of AMX, which take the place of panels.
struct TileKernels {
  BlockPanels panels;
  BlockPanels pairs;
  /// Whether so many rows of A and groups of K are for `pairs`.
  bool (*takes_pairs)(int64_t m, int64_t groups);
};

/// Something of each format.
template <class T>
struct OfBlocks {
  T q8_0;
  T q4_0;
  T q4_1;
  T q5_0;
  T q5_1;
  T iq4_nl;
  T mxfp4;
  T q2_k;
  T q3_k;
  T q4_k;
  T q5_k;
  T q6_k;
  T iq4_xs;
};
using BlockKernels = OfBlocks<BlockKernel>;

namespace portable {
extern const BlockKernels kBlocks;
}
namespace avx2 {
extern const BlockKernels kBlocks;
}
namespace avx_vnni {
extern const BlockKernels kBlocks;
}
namespace avx512 {
extern const BlockKernels kBlocks;
}
namespace avx512_bf16 {
extern const BlockKernels kBlocks;
}
namespace dotprod {
#if defined(__aarch64__)
extern const BlockKernels kBlocks;
#else
using portable::kBlocks;
#endif
}  // namespace dotprod
namespace amx {
#if defined(__x86_64__)
extern const OfBlocks<TileKernels> kTileKernels;
#endif
}  // namespace amx

}  // namespace corral::ops
