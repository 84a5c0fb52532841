#pragma once

// A panel: some columns and values of K of B, unpacked for tiles of rows of A. For *_isa.cc files.

#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

constexpr int64_t kVectorColumns = 16;
// Vectors of columns and rows of A of a tile: sums of dots and a chain fill the registers. (Tiles
// of AMX have columns for rows and rows for lanes.)
#if defined(CORRAL_TILES)
constexpr size_t kTileVectors = 2;
constexpr size_t kTileRows = 16;
#elif defined(__AVX512F__)
constexpr size_t kTileVectors = 2;
constexpr size_t kTileRows = 6;
#elif defined(__AVX2__)
constexpr size_t kTileVectors = 1;
constexpr size_t kTileRows = 6;
#elif defined(__ARM_NEON)
constexpr size_t kTileVectors = 1;
constexpr size_t kTileRows = 2;
#else
constexpr size_t kTileVectors = 1;
constexpr size_t kTileRows = 1;
#endif
/// Rows of A of a tile of a format with so many scales a group. Sixteen registers do not hold the
/// dots of six rows beside products that are still added.
template <size_t kHalves>
#if defined(__AVX2__) && !defined(CORRAL_DPBUSD)
constexpr size_t kTileRowsOf = kHalves == 2 ? 4 : kTileRows;
#else
constexpr size_t kTileRowsOf = kTileRows;
#endif
constexpr int64_t kPanelColumns = int64_t{kTileVectors} * kVectorColumns;
// Quads of a panel at most, so that a chain's groups, with their scales and what comes by of A, fit
// into a level-1 cache of 32 KiB: 22 KiB at 32 columns.
#if defined(CORRAL_TILES)
constexpr int64_t kPanelQuads = 20;  // measured so; more were not
#else
constexpr int64_t kPanelQuads = 22;
#endif

/// A panel of so many quads, and the chains of the rows of A, in scratch memory.
struct Panel {
  // A group is 2 halves of 4 times 4 bytes of all columns, or 32 bytes of each where these are the
  // rows of a tile of AMX; groups of a chain lie together.
  U8* bytes;       // [4 chains, quads, 2, 4, columns, 4] or [4 chains, quads, columns, 32]
  float* scale;    // [4 chains, quads, halves, columns]
  float* minimum;  // the same
  float* chains;   // [4 chains, rows, columns]; AMX: [4 chains, rows / 16, columns, 16]
  int64_t quads;
  int64_t rows;  // of A that have places
  // Where tiles read the bytes: here, or in B where that lies as they take it.
  const std::byte* words;
  int64_t chain_bytes;  // from the first group of a chain to that of the next

  static constexpr int64_t kGroupBytes = kGroup * kPanelColumns;
  static constexpr int64_t kQuadBytes = kQuad * kPanelColumns;
  static constexpr int64_t kQuadScaleBytes = kQuadGroups * 2 * kPanelColumns * 4;

  static int64_t scratch_bytes(int64_t rows, int64_t quads) {
    return quads * (kQuadBytes + 2 * kQuadScaleBytes) +
           kQuadGroups * rows * kPanelColumns * static_cast<int64_t>(sizeof(float));
  }
  Panel(std::byte* scratch, int64_t rows_of, int64_t quads_of)
      : bytes(reinterpret_cast<U8*>(scratch)),
        scale(reinterpret_cast<float*>(scratch + quads_of * kQuadBytes)),
        minimum(scale + quads_of * kQuadScaleBytes / 4),
        chains(minimum + quads_of * kQuadScaleBytes / 4),
        quads(quads_of),
        rows(rows_of),
        words(scratch),
        chain_bytes(quads_of * kGroupBytes) {}

  int64_t group(int64_t chain, int64_t quad) const { return chain * quads + quad; }
  std::byte* group_bytes(int64_t group) const {
    return reinterpret_cast<std::byte*>(bytes) + group * kGroup * kPanelColumns;
  }
  /// A chain of the rows of A from `row` on, of AMX the first of a tile.
  float* chain_rows(int64_t chain, int64_t row) const {
    return chains + (chain * rows + row) * kPanelColumns;
  }
};

/// Some chains of the groups of a panel, which begins at the quad `first`.
struct Run {
  int64_t chain;
  int64_t end_chain;
  int64_t groups;  // of the panel
  int64_t first;
  bool starts;  // whether the panel begins the chains
  bool ends;    // whether it completes them

  /// Quads that have a group of this chain: the last need not.
  int64_t quads(int64_t of_chain) const {
    return (groups - of_chain + kQuadGroups - 1) / kQuadGroups;
  }
};

/// Some tiles of rows of A.
struct Tiles {
  int64_t first;
  int64_t end;
};

/// Where the sums of tiles go with their last chain: their first row, and how far it is to the
/// next. Nowhere (null): they stay in the place of the first chain.
struct Totals {
  float* at;
  int64_t stride;
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
