// Matrix products in the manner of Goto and van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication": a tile of C stays in registers while k runs, a block of A in the level-2 cache,
// a panel of B streams through. Vectors run along the columns of C, so that each element is one
// chain of multiply-adds in the order of k whatever the tile it falls into.

#include "ops/matmul/matmul_few.h"
#include "ops/matmul/matmul_interleaved.h"
#include "ops/matmul/matmul_tile.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::max;

constexpr int64_t kBlockRows = 8 * 12;   // rows of A in a block
constexpr int64_t kBlockColumns = 1024;  // columns of B in a block when A has several

constexpr int64_t kMostAheadBytes = 3 << 17;  // of B: what the level-2 cache has room for

struct Block {
  int64_t row;
  int64_t rows;
  int64_t col;
  int64_t cols;
  int64_t first;  // unit
  int64_t units;
};

/// Panels of B that follow one another: how far it is from a column to the next, in units.
struct Panels {
  const uint32_t* at;
  int64_t column_units;
};

/// One block of C from packed A and panels of B.
template <class Math, class Layout>
void multiply_block(const Piece& p, const Block& block, const uint32_t* a, const Panels& b,
                    Ahead& ahead) {
  const bool from_c = p.accumulate || block.first > 0;
  ahead.spread_over(parts_of(block.rows, kTileRows) * parts_of(block.cols, kPanelColumns) *
                    (block.units / kUnitsOfTurn));
  const int64_t tile_rows = Layout::tile_rows(block.rows);
  for (int64_t r = 0; r < block.rows; r += tile_rows) {
    const int64_t rows = min(tile_rows, block.rows - r);
    const uint32_t* first = a + Layout::place_of(r);
    for (int64_t j = 0; j < block.cols; j += kPanelColumns) {
      const uint32_t* panel = b.at + j * b.column_units;
      if (block.cols - j > kLanes) {
        panel_times_rows<Math, Layout, 2>(p, first, panel, block.units, block.row + r,
                                          block.col + j, rows, from_c, ahead);
      } else {
        panel_times_rows<Math, Layout, 1>(p, first, panel, block.units, block.row + r,
                                          block.col + j, rows, from_c, ahead);
      }
    }
  }
}

template <class Reader>
void pack_a(const Reader& from, const Block& block, uint32_t* to) {
  if (from.k_contiguous()) {
    pack_rows(from, block.row, block.rows, block.first, block.units, kRowUnits, to);
  } else {
    pack_strips(from, block.row, block.rows, block.first, block.units, kTileRows, InStrips::kTile,
                to);
  }
}

/// The block's panels of B: packed into `to`, unless they lie so already.
template <class Reader>
Panels panels_of(const Reader& from, const Block& block, uint32_t* to) {
  if constexpr (Reader::kInPlace) return {from.panel(block.col, block.first), from.column_units()};
  const int64_t depth = (block.units + kLanes - 1) / kLanes * kLanes;
  for (int64_t j = 0; j < block.cols; j += kPanelColumns) {
    const int64_t vectors = block.cols - j > kLanes ? 2 : 1;
    pack_panel(from, block.col + j, vectors, block.first, block.units, to + j * depth);
  }
  return {to, depth};
}

int64_t packed_a_units(int64_t m) {
  const int64_t tiles = parts_of(min(m, kBlockRows), kTileRows);
  return tiles * max(InRows::kTile, InStrips::kTile);
}

/// Reads ahead what is packed after `block`: the next block of A and a share of the next of B, that
/// of this block's rows.
template <class ReaderA, class ReaderB>
Ahead ahead_of(const Piece& p, const ReaderA& a, const ReaderB& b, const Block& block,
               int64_t columns, int64_t units) {
  Ahead ahead;
  int64_t next_col = block.col + columns;
  int64_t next_first = block.first;  // of B
  if (next_col >= p.n) {
    next_col = 0;
    next_first += kDepth;
  }
  const bool last_rows = block.row + block.rows >= p.m;
  const int64_t row = last_rows ? 0 : block.row + kBlockRows;
  const int64_t first = last_rows ? next_first : block.first;
  const bool packed_already = p.m <= kBlockRows && first == block.first;
  if (first < units && !packed_already) {
    ahead.add(a.memory(row, min(kBlockRows, p.m - row), first, min(kDepth, units - first)));
  }
  if (next_first >= units) return ahead;
  Lines lines =
      b.memory(next_col, min(columns, p.n - next_col), next_first, min(kDepth, units - next_first));
  if (lines.rows * lines.lines_each * kLineBytes > kMostAheadBytes) return ahead;
  const int64_t begin = lines.rows * block.row / p.m;
  const int64_t end = lines.rows * (block.row + block.rows) / p.m;
  lines.at += begin * lines.stride_bytes;
  lines.rows = end - begin;
  ahead.add(lines);
  return ahead;
}

template <class Math, class ReaderA, class ReaderB>
void multiply_as(const Piece& p, const ReaderA& a_from, const ReaderB& b_from, std::byte* scratch) {
  auto* a = reinterpret_cast<uint32_t*>(scratch);
  if (p.m <= kFewRows && readable_for_few_rows(p)) {
    return multiply_few_rows<Math>(p, a_from, b_from, a);
  }
  uint32_t* b = a + packed_a_units(p.m);
  const bool in_rows = a_from.k_contiguous();
  const bool one_block = p.m <= kBlockRows;
  const int64_t columns = one_block ? kPanelColumns : kBlockColumns;
  const int64_t units = (p.k + Math::kPerUnit - 1) / Math::kPerUnit;
  Block block{};
  for (block.first = 0; block.first < units; block.first += kDepth) {
    block.units = min(kDepth, units - block.first);
    if (one_block) {
      block.row = 0;
      block.rows = p.m;
      pack_a(a_from, block, a);
    }
    for (block.col = 0; block.col < p.n; block.col += columns) {
      block.cols = min(columns, p.n - block.col);
      const Panels panels = panels_of(b_from, block, b);
      for (block.row = 0; block.row < p.m; block.row += kBlockRows) {
        block.rows = min(kBlockRows, p.m - block.row);
        if (!one_block) pack_a(a_from, block, a);
        Ahead ahead = ahead_of(p, a_from, b_from, block, columns, units);
        if (in_rows) {
          multiply_block<Math, InRows>(p, block, a, panels, ahead);
        } else {
          multiply_block<Math, InStrips>(p, block, a, panels, ahead);
        }
      }
    }
  }
}

template <class Math>
void multiply_interleaved(const Piece& p, std::byte* scratch) {
  if constexpr (kInterleaved > 0) {
    const UnitReader<Math, F32Element> a(p.a, p.m, p.k);
    if (p.b.element == Element::kF32) {
      multiply_as<Math>(p, a, InterleavedReader<Math, F32Element>(p.b, p.k), scratch);
    } else {
      multiply_as<Math>(p, a, InterleavedReader<Math, BF16Element>(p.b, p.k), scratch);
    }
  }
}

template <class Math>
void multiply_in(const Piece& p, std::byte* scratch) {
  if (p.b.interleaved > 0) return multiply_interleaved<Math>(p, scratch);
  with_element(p.a.element, [&]<class EA>() {
    const UnitReader<Math, EA> a(p.a, p.m, p.k);
    with_element(p.b.element, [&]<class EB>() {
      multiply_as<Math>(p, a, UnitReader<Math, EB>(p.b, p.n, p.k), scratch);
    });
  });
}

void multiply(const Piece& p, std::byte* scratch) {
  if (p.bf16) {
    multiply_in<BF16Math>(p, scratch);
  } else {
    multiply_in<F32Math>(p, scratch);
  }
}

int64_t scratch_bytes(const Piece& p) {
  // Whole cache lines. Of many rows the last piece can have few.
  const int64_t few = readable_for_few_rows(p) ? (4 * few_rows_units(p) + 63) / 64 * 64 : 0;
  if (p.m <= kFewRows && few > 0) return few;
  const int64_t panels = (p.n + kPanelColumns - 1) / kPanelColumns;
  const int64_t columns =
      p.m <= kBlockRows ? kPanelColumns : min(kBlockColumns, panels * kPanelColumns);
  // Panels are packed in whole vectors of units; a unit holds at least one element of k.
  const int64_t depth = min(kDepth, (p.k + kLanes - 1) / kLanes * kLanes);
  return max(4 * (packed_a_units(p.m) + columns * depth), few);
}

}  // namespace

const MatmulKernel kMatmul = {kTileRows, kLanes, kInterleaved, scratch_bytes, multiply};

}  // namespace corral::ops::CORRAL_ISA
