#pragma once

// Products of many rows of A: B is unpacked into panels that stay in the caches while all rows
// of A pass by. For *_isa.cc files.

#include "ops/matmul/block_pack.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// What a tile needs to know of a format.
template <bool kWideBytes, int64_t kHalvesOf, bool kHasMinimum>
struct Traits {
  static constexpr bool kWide = kWideBytes;
  static constexpr int64_t kHalves = kHalvesOf;
  static constexpr bool kMinimum = kHasMinimum;
};

/// Where the sums of a tile go: its first row, and how far it is to the next.
struct Totals {
  float* at;
  int64_t stride;
};

/// kRows rows of A times the columns of the panel.
template <class T, size_t kRows>
class PanelTile {
 public:
  PanelTile(const Panel& panel, const BlockRows& a, int64_t quads, int64_t row, int64_t first)
      : panel_(panel), a_(a), row_quads_(quads), at_(row * quads + first) {}

  /// Adds `groups` groups to the chains of the rows from `block_row` on, which begin at the first
  /// panel of K. At the last, which is told where, they are added up. For each group `lines` lines
  /// are asked for.
  void add(int64_t block_row, int64_t groups, bool first, const Totals* last, Ahead& ahead,
           int64_t lines) {
    // By the time of the stores their lines are there: stores that miss wait for one another.
    if (last != nullptr) {
      for (size_t i = 0; i < kRows; ++i) {
        const float* to = last->at + static_cast<int64_t>(i) * last->stride;
        for (size_t v = 0; v < kTileVectors; ++v) __builtin_prefetch(to + v * kVectorColumns, 1, 3);
      }
    }
    for (int64_t chain = 0; chain < kQuadGroups; ++chain) {
      const int64_t quads = (groups - chain + kQuadGroups - 1) / kQuadGroups;
      Floats sums[kRows][kTileVectors];
      each_sum([&](size_t i, size_t v) {
        sums[i][v] = first ? broadcast(0.0f) : load64<Floats>(at(block_row, i, chain, v));
      });
      for (int64_t q = 0; q < quads; ++q) {
        for (int64_t line = 0; line < lines; ++line) ahead.fetch();
        add_group(sums, chain, q);
      }
      if (last == nullptr) {
        each_sum([&](size_t i, size_t v) { store64(at(block_row, i, chain, v), sums[i][v]); });
        continue;
      }
      each_sum([&](size_t i, size_t v) {
        float* to = last->at + static_cast<int64_t>(i) * last->stride + v * kVectorColumns;
        if (chain > 0) sums[i][v] = sum(load64<Floats>(to), sums[i][v]);
        store64(to, sums[i][v]);
      });
    }
  }

 private:
  template <class F>
  static void each_sum(const F& f) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) f(i, v);
    }
  }
  float* at(int64_t block_row, size_t i, int64_t chain, size_t v) const {
    return panel_.row_chains(block_row + static_cast<int64_t>(i), chain) + v * kVectorColumns;
  }
  // A's quad of row i.
  int64_t quad_of(size_t i, int64_t quad) const {
    return at_ + static_cast<int64_t>(i) * row_quads_ + quad;
  }

  void add_group(Floats (&sums)[kRows][kTileVectors], int64_t chain, int64_t quad) {
    const int64_t group = Panel::group(chain, quad);
    Ints dots[kRows][kTileVectors];
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) {
      if (half == 0 || T::kHalves == 2) start(dots, chain, quad, half);
      add_half(dots, group, chain, quad, half);
      if (half == 1 || T::kHalves == 2) scale(sums, dots, group, chain, quad, half);
    }
    if constexpr (T::kMinimum) {
      for (int64_t half = 0; half < T::kHalves; ++half) add_minimum(sums, group, chain, quad, half);
    }
  }

  void start(Ints (&dots)[kRows][kTileVectors], int64_t chain, int64_t quad, int64_t half) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const int64_t at = (quad_of(i, quad) * T::kHalves + half) * kQuadGroups + chain;
      const Ints all = broadcast(a_.start[at]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) dots[i][v] = all;
    }
  }

  void add_half(Ints (&dots)[kRows][kTileVectors], int64_t group, int64_t chain, int64_t quad,
                int64_t half) {
    const std::byte* b = panel_.group_bytes(group) + half * 4 * kPanelColumns * 4;
    const int8_t* a = a_.bytes + half * 64 + chain * 16;
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      Bytes words[kTileVectors];
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        words[v] = load64<Bytes>(b + (static_cast<size_t>(k) * kTileVectors + v) * 64);
      }
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
        const Bytes word = broadcast4(a + quad_of(i, quad) * kQuad + 4 * k);
#pragma GCC unroll 2
        for (size_t v = 0; v < kTileVectors; ++v) {
          dots[i][v] = dot4<T::kWide>(dots[i][v], words[v], word);
        }
      }
    }
  }

  void scale(Floats (&sums)[kRows][kTileVectors], const Ints (&dots)[kRows][kTileVectors],
             int64_t group, int64_t chain, int64_t quad, int64_t half) {
    const int64_t of = T::kHalves == 2 ? half : 0;
    const float* b = panel_.scale + (group * T::kHalves + of) * kPanelColumns;
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const Floats a = broadcast(a_.scales[quad_of(i, quad) * kQuadGroups + chain]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        sums[i][v] = add_scaled(sums[i][v], dots[i][v], a, load64<Floats>(b + v * kVectorColumns));
      }
    }
  }

  void add_minimum(Floats (&sums)[kRows][kTileVectors], int64_t group, int64_t chain, int64_t quad,
                   int64_t half) {
    const float* b = panel_.minimum + (group * T::kHalves + half) * kPanelColumns;
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const int64_t at = (quad_of(i, quad) * T::kHalves + half) * kQuadGroups + chain;
      const Floats a = broadcast(a_.sums[at]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        sums[i][v] = add_product(sums[i][v], a, load64<Floats>(b + v * kVectorColumns));
      }
    }
  }

  const Panel& panel_;
  const BlockRows& a_;
  int64_t row_quads_;
  int64_t at_;
};

/// Calls tile.operator()<rows>(at) for rows of at most kRows.
template <size_t kRows, class Tile>
inline void with_tile_rows(int64_t rows, const Tile& tile, int64_t at) {
  if constexpr (kRows > 1) {
    if (rows != static_cast<int64_t>(kRows)) return with_tile_rows<kRows - 1>(rows, tile, at);
  }
  tile.template operator()<kRows>(at);
}

/// True when a panel's sums can be written to C as they come.
inline bool fits_in_c(const BlockPiece& p, int64_t col) {
  return p.c_col_stride == 1 && col + kPanelColumns <= p.n && !p.accumulate;
}

/// The rows [row, row + rows) of A times the panel of the columns from `col`, whose first quad is
/// `first`; asks for `next` meanwhile.
template <class T>
void multiply_panel(const Panel& panel, const BlockPiece& p, int64_t row, int64_t rows, int64_t col,
                    int64_t first, int64_t quads, const Lines& next) {
  const int64_t groups = simd::CORRAL_ISA::min(quads * kQuadGroups, p.groups - first * kQuadGroups);
  const bool last = first + quads == p.quads();
  const bool in_c = fits_in_c(p, col);
  int64_t tiles = (rows + kMostTileRows - 1) / kMostTileRows;
  Ahead ahead;
  ahead.add(next);
  const int64_t steps = simd::CORRAL_ISA::max(1, tiles * groups);
  const int64_t lines = (next.count() + steps - 1) / steps;
  const auto tile = [&]<size_t kRows>(int64_t at) {
    const Totals totals = in_c ? Totals{p.c + (row + at) * p.c_row_stride + col, p.c_row_stride}
                               : Totals{panel.row_chains(at, 0), panel.kRowChains};
    PanelTile<T, kRows>(panel, p.a, p.quads(), row + at, first)
        .add(at, groups, first == 0, last ? &totals : nullptr, ahead, lines);
  };
  // Tiles of nearly the same number of rows: one of a single row would wait for its own sums.
  int64_t at = 0;
  for (; tiles > 0; --tiles) {
    const int64_t own = (rows - at + tiles - 1) / tiles;
    with_tile_rows<kTileRows>(own, tile, at);
    at += own;
  }
}

/// Brings sums to C that did not fit.
inline void store_panel(const Panel& panel, const BlockPiece& p, int64_t row, int64_t rows,
                        int64_t col) {
  const int64_t columns = simd::CORRAL_ISA::min(kPanelColumns, p.n - col);
  for (int64_t i = 0; i < rows; ++i) {
    const float* total = panel.row_chains(i, 0);
    float* c = p.c + (row + i) * p.c_row_stride + col * p.c_col_stride;
    for (int64_t j = 0; j < columns; ++j) {
      float& to = c[j * p.c_col_stride];
      to = p.accumulate ? to + total[j] : total[j];
    }
  }
}

template <class Format>
void panels(const BlockPiece& p, std::byte* scratch) {
  using T = Traits<Format::kWide, Format::kHalves, Format::kMinimum>;
  const Panel panel(scratch);
  const int64_t quads = p.quads();
  for (int64_t col = 0; col < p.n; col += kPanelColumns) {
    for (int64_t row = 0; row < p.m; row += kBlockRows) {
      const int64_t rows = simd::CORRAL_ISA::min(kBlockRows, p.m - row);
      int64_t first = 0;
      do {  // once for sums of nothing, too
        const int64_t some = simd::CORRAL_ISA::min(kPanelQuads, quads - first);
        pack<Format>(panel, p, col, first, some);
        multiply_panel<T>(panel, p, row, rows, col, first, some,
                          next_panel<Format>(p, col, first, some));
        first += kPanelQuads;
      } while (first < quads);
      if (!fits_in_c(p, col)) store_panel(panel, p, row, rows, col);
    }
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
