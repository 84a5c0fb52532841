// Matrix products in the manner of Goto and van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication": a tile of C stays in registers while k runs, a block of A in the level-2 cache,
// a panel of B streams through. Vectors run along the columns of C, so that each element is one
// chain of multiply-adds in the order of k whatever the tile it falls into.

#include "ops/matmul/ahead.h"
#include "ops/matmul/matmul_few.h"
#include "ops/matmul/matmul_kernel.h"
#include "ops/matmul/matmul_pack.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::load;
using simd::CORRAL_ISA::max;
using simd::CORRAL_ISA::min;
using simd::CORRAL_ISA::store;

// Accumulators, a vector row of B and a broadcast of A fill the vector registers: 32 with AVX-512,
// else 16.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 4;
#endif
static_assert(kTileRows <= kLanes);  // pack_strips() stores a vector of rows at a time
constexpr int kTileVectors = 2;
constexpr int64_t kPanelColumns = kTileVectors * kLanes;

constexpr int64_t kDepth = 256;             // units of k in a block
constexpr int64_t kRowUnits = kDepth + 16;  // row stride of packed A: not a power of two
constexpr int64_t kBlockRows = 8 * 12;      // rows of A in a block
constexpr int64_t kBlockColumns = 1024;     // columns of B in a block when A has several
constexpr int64_t kUnitsOfTurn = 4;         // after which lines are asked for

constexpr int64_t kMostAheadBytes = 3 << 17;  // of B: what the level-2 cache has room for

/// Where the chains of a tile begin: in C, or in zeros that all rows share.
struct Start {
  const float* at;
  int64_t stride;
};
alignas(64) constexpr float kZeros[static_cast<size_t>(kPanelColumns)] = {};

/// How packed A lies in memory: rows one after another when they are read along k, else strips of
/// kTileRows rows in which a unit of all rows lies together. A tile may begin at any row, of strips
/// at those that begin one.
struct InRows {
  static constexpr int64_t kRow = kRowUnits;
  static constexpr int64_t kUnit = 1;
  static constexpr int64_t kTile = kTileRows * kRowUnits;
  /// Rows of each tile of a block, but for the last: nearly as many in all, as a tile of few rows
  /// would wait for its own sums.
  static int64_t tile_rows(int64_t rows) { return parts_of(rows, parts_of(rows, kTileRows)); }
  static int64_t place_of(int64_t row) { return row * kRow; }
};
struct InStrips {
  static constexpr int64_t kRow = 1;
  static constexpr int64_t kUnit = kTileRows;
  static constexpr int64_t kTile = kDepth * kTileRows + kLanes;
  static int64_t tile_rows(int64_t /*rows*/) { return kTileRows; }
  static int64_t place_of(int64_t row) { return row / kTileRows * kTile; }
};

/// C[R, V vectors] of one tile.
template <class Math, class Layout, int R, int V>
void tile(const uint32_t* a, const uint32_t* b, int64_t units, Start start, float* c,
          int64_t c_stride, Ahead& ahead) {
  F32 sum[static_cast<size_t>(R)][static_cast<size_t>(V)];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      sum[r][v] = load(start.at + v * kLanes);
      // By the time of the stores their lines are there: stores that miss wait for one another.
      __builtin_prefetch(c + r * c_stride + v * kLanes, 1, 3);
    }
    start.at += start.stride;
  }
  const auto add = [&](int64_t u) __attribute__((always_inline)) {
    U32 b_row[static_cast<size_t>(V)];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) b_row[v] = load<U32>(b + (u * V + v) * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const uint32_t a_unit = a[r * Layout::kRow + u * Layout::kUnit];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] = Math::madd(a_unit, b_row[v], sum[r][v]);
    }
  };
  int64_t u = 0;
  for (int64_t left = units / kUnitsOfTurn; left > 0;) {
    Ahead::Stretch lines = ahead.stretch(left);
    left -= lines.turns;
    for (int64_t turn = 0; turn < lines.turns; ++turn, u += kUnitsOfTurn) {
      lines.take_turn();
#pragma GCC unroll 4
      for (int64_t i = 0; i < kUnitsOfTurn; ++i) add(u + i);
    }
  }
  for (; u < units; ++u) add(u);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(c + v * kLanes, sum[r][v]);
    c += c_stride;
  }
}

using Tile = void (*)(const uint32_t* a, const uint32_t* b, int64_t units, Start start, float* c,
                      int64_t c_stride, Ahead& ahead);

/// The tile of `rows` rows, 1 to kTileRows.
template <class Math, class Layout, int V, int R = kTileRows>
Tile tile_of(int64_t rows) {
  if constexpr (R > 1) {
    if (rows < R) return tile_of<Math, Layout, V, R - 1>(rows);
  }
  return tile<Math, Layout, R, V>;
}

/// A tile that C does not hold whole or not in rows: computed aside.
template <class Math, class Layout, int V>
void edge_tile(const Piece& p, const uint32_t* a, const uint32_t* b, int64_t units, int64_t row,
               int64_t col, int64_t rows, bool from_c, Ahead& ahead) {
  float aside[kTileRows * kPanelColumns] = {};
  const int64_t cols = min(int64_t{V} * kLanes, p.n - col);
  float* c = p.c + row * p.c_row_stride + col * p.c_col_stride;
  if (from_c) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < cols; ++j) {
        aside[r * kPanelColumns + j] = c[r * p.c_row_stride + j * p.c_col_stride];
      }
    }
  }
  tile_of<Math, Layout, V>(rows)(a, b, units, {aside, kPanelColumns}, aside, kPanelColumns, ahead);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j) {
      c[r * p.c_row_stride + j * p.c_col_stride] = aside[r * kPanelColumns + j];
    }
  }
}

/// Rows [row, row + rows) of C times the V vectors of columns from col, for one block of k.
template <class Math, class Layout, int V>
void panel_times_rows(const Piece& p, const uint32_t* a, const uint32_t* b, int64_t units,
                      int64_t row, int64_t col, int64_t rows, bool from_c, Ahead& ahead) {
  if (p.c_col_stride == 1 && col + V * kLanes <= p.n) {
    float* c = p.c + row * p.c_row_stride + col;
    const Start start = from_c ? Start{c, p.c_row_stride} : Start{kZeros, 0};
    tile_of<Math, Layout, V>(rows)(a, b, units, start, c, p.c_row_stride, ahead);
  } else {
    edge_tile<Math, Layout, V>(p, a, b, units, row, col, rows, from_c, ahead);
  }
}

struct Block {
  int64_t row;
  int64_t rows;
  int64_t col;
  int64_t cols;
  int64_t first;  // unit
  int64_t units;
};

/// One block of C from packed A and packed panels of B.
template <class Math, class Layout>
void multiply_block(const Piece& p, const Block& block, const uint32_t* a, const uint32_t* b,
                    Ahead& ahead) {
  const bool from_c = p.accumulate || block.first > 0;
  ahead.spread_over(parts_of(block.rows, kTileRows) * parts_of(block.cols, kPanelColumns) *
                    (block.units / kUnitsOfTurn));
  const int64_t depth = (block.units + kLanes - 1) / kLanes * kLanes;
  const int64_t tile_rows = Layout::tile_rows(block.rows);
  for (int64_t r = 0; r < block.rows; r += tile_rows) {
    const int64_t rows = min(tile_rows, block.rows - r);
    const uint32_t* first = a + Layout::place_of(r);
    for (int64_t j = 0; j < block.cols; j += kPanelColumns) {
      const uint32_t* panel = b + j * depth;
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

template <class Reader>
void pack_b(const Reader& from, const Block& block, uint32_t* to) {
  const int64_t depth = (block.units + kLanes - 1) / kLanes * kLanes;
  for (int64_t j = 0; j < block.cols; j += kPanelColumns) {
    const int64_t vectors = block.cols - j > kLanes ? 2 : 1;
    pack_panel(from, block.col + j, vectors, block.first, block.units, to + j * depth);
  }
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

template <class Math, class EA, class EB>
void multiply_as(const Piece& p, std::byte* scratch) {
  const UnitReader<Math, EA> a_from(p.a, p.m, p.k);
  const UnitReader<Math, EB> b_from(p.b, p.n, p.k);
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
      pack_b(b_from, block, b);
      for (block.row = 0; block.row < p.m; block.row += kBlockRows) {
        block.rows = min(kBlockRows, p.m - block.row);
        if (!one_block) pack_a(a_from, block, a);
        Ahead ahead = ahead_of(p, a_from, b_from, block, columns, units);
        if (in_rows) {
          multiply_block<Math, InRows>(p, block, a, b, ahead);
        } else {
          multiply_block<Math, InStrips>(p, block, a, b, ahead);
        }
      }
    }
  }
}

template <class Math>
void multiply_in(const Piece& p, std::byte* scratch) {
  with_element(p.a.element, [&]<class EA>() {
    with_element(p.b.element, [&]<class EB>() { multiply_as<Math, EA, EB>(p, scratch); });
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

const MatmulKernel kMatmul = {kTileRows, kLanes, scratch_bytes, multiply};

}  // namespace corral::ops::CORRAL_ISA
