#pragma once

// A tile of C, whose sums stay in registers while k runs. For matmul_isa.cc only.

#include "ops/matmul/ahead.h"
#include "ops/matmul/matmul_kernel.h"
#include "ops/matmul/matmul_pack.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::load;
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
constexpr int64_t kUnitsOfTurn = 4;         // after which lines are asked for

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

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
