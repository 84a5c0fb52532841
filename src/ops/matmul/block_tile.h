#pragma once

// The product of some rows of A with a panel, whose sums stay in registers. For *_isa.cc files.

#include "ops/matmul/ahead.h"
#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_quad.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// What a tile needs to know of a format.
template <bool kWideBytes, int64_t kHalvesOf, bool kHasMinimum>
struct Traits {
  static constexpr bool kWide = kWideBytes;
  static constexpr int64_t kHalves = kHalvesOf;
  static constexpr bool kMinimum = kHasMinimum;
};
template <class Format>
using TraitsOf = Traits<Format::kWide, static_cast<int64_t>(Format::kHalves), Format::kMinimum>;

constexpr RowForm kTileForm = RowForm::kEvenTiles;
constexpr bool kCutsChains = true;  // into runs that fit into the level-1 cache
constexpr int64_t kMostLinesAhead = int64_t{1} << 62;

constexpr decltype(BlockPanels::arrange) arrange_rows = nullptr;

/// Where tiles leave the total of a row and column.
inline const float& kept_total(const Panel& panel, int64_t row, int64_t col) {
  return panel.row_chains(row, 0)[col];
}

/// What tiles need of the processor for the length of a product: nothing.
template <int64_t kBytes>
struct TileUnit {
  TileUnit() {}
};

/// kRows rows of A, from `row` on, times the columns of the panel.
template <class T, size_t kRows>
class PanelTile {
 public:
  PanelTile(const Panel& panel, const BlockRows& a, int64_t row)
      : panel_(panel), a_(a), numbers_(row * a.order.quads * kQuadGroups) {}

  /// Goes on with chains, which are kept from `kept` on between panels. One that ends is added to
  /// the totals, or begins them if it is the first. Each group is a turn of `ahead`.
  void add(const Run& run, float* kept, const Totals& totals, Ahead& ahead) {
    // By the time of the stores their lines are there: stores that miss wait for one another.
    if (run.ends && run.chain == 0) {
      for (size_t i = 0; i < kRows; ++i) {
        for (size_t v = 0; v < kTileVectors; ++v) __builtin_prefetch(total(totals, i, v), 1, 3);
      }
    }
    for (int64_t chain = run.chain; chain < run.end_chain; ++chain) {
      const auto at = [&](size_t i, size_t v) {
        return kept + static_cast<int64_t>(i) * Panel::kRowChains + chain * kPanelColumns +
               v * kVectorColumns;
      };
      Floats sums[kRows][kTileVectors];
      each_sum([&](size_t i, size_t v) {
        sums[i][v] = run.starts ? broadcast(0.0f) : load64<Floats>(at(i, v));
      });
      const int64_t quads = run.quads(chain);
      for (int64_t quad = 0; quad < quads; ++quad) {
        ahead.take_turn();
        add_group(sums, panel_.group(chain, quad), a_.order.quads * chain + run.first + quad);
      }
      if (!run.ends) {
        each_sum([&](size_t i, size_t v) { store64(at(i, v), sums[i][v]); });
        continue;
      }
      each_sum([&](size_t i, size_t v) {
        float* to = total(totals, i, v);
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
  static float* total(const Totals& totals, size_t i, size_t v) {
    return totals.at + static_cast<int64_t>(i) * totals.stride + v * kVectorColumns;
  }
  // The first of the numbers that the rows have, of which a group has `halves`, for a half of the
  // group `at` in the order of the tile.
  int64_t number(int64_t at, int64_t halves, int64_t half) const {
    return numbers_ * halves + (at * halves + half) * static_cast<int64_t>(kRows);
  }

  void add_group(Floats (&sums)[kRows][kTileVectors], int64_t b, int64_t a) {
    Ints dots[kRows][kTileVectors];
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) {
      if (half == 0 || T::kHalves == 2) start(dots, a, half);
      add_half(dots, b, a, half);
      if (half == 1 || T::kHalves == 2) scale(sums, dots, b, a, half);
    }
    if constexpr (T::kMinimum) {
      for (int64_t half = 0; half < T::kHalves; ++half) add_minimum(sums, b, a, half);
    }
  }

  void start(Ints (&dots)[kRows][kTileVectors], int64_t a, int64_t half) {
    const int32_t* from = a_.start + number(a, T::kHalves, half);
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const Ints all = broadcast(from[i]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) dots[i][v] = all;
    }
  }

  void add_half(Ints (&dots)[kRows][kTileVectors], int64_t b, int64_t a, int64_t half) {
    const std::byte* words_at = panel_.group_bytes(b) + half * 4 * kPanelColumns * 4;
    const int8_t* rows = a_.bytes + number(a, 2, half) * 16;
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      Bytes words[kTileVectors];
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        words[v] = load64<Bytes>(words_at + (static_cast<size_t>(k) * kTileVectors + v) * 64);
      }
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
        const Bytes word = broadcast4(rows + i * 16 + 4 * k);
#pragma GCC unroll 2
        for (size_t v = 0; v < kTileVectors; ++v) {
          dots[i][v] = dot4<T::kWide>(dots[i][v], words[v], word);
        }
      }
    }
  }

  void scale(Floats (&sums)[kRows][kTileVectors], const Ints (&dots)[kRows][kTileVectors],
             int64_t b, int64_t a, int64_t half) {
    const int64_t of = T::kHalves == 2 ? half : 0;
    const float* columns = panel_.scale + (b * T::kHalves + of) * kPanelColumns;
    const float* rows = a_.scales + number(a, 1, 0);
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const Floats row = broadcast(rows[i]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        sums[i][v] =
            add_scaled(sums[i][v], dots[i][v], row, load64<Floats>(columns + v * kVectorColumns));
      }
    }
  }

  void add_minimum(Floats (&sums)[kRows][kTileVectors], int64_t b, int64_t a, int64_t half) {
    const float* columns = panel_.minimum + (b * T::kHalves + half) * kPanelColumns;
    const float* rows = a_.sums + number(a, T::kHalves, half);
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const Floats row = broadcast(rows[i]);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        sums[i][v] = add_product(sums[i][v], row, load64<Floats>(columns + v * kVectorColumns));
      }
    }
  }

  const Panel& panel_;
  const BlockRows& a_;
  int64_t numbers_;  // of the rows before, one a group
};

/// Calls tile.operator()<rows>() for rows of at most kRows.
template <size_t kRows, class Tile>
inline void with_tile_rows(int64_t rows, const Tile& tile) {
  if constexpr (kRows > 1) {
    if (rows != static_cast<int64_t>(kRows)) return with_tile_rows<kRows - 1>(rows, tile);
  }
  tile.template operator()<kRows>();
}

/// Adds a run of the tiles' chains.
template <class T>
void add_tiles(const Panel& panel, const BlockRows& a, const Tiles& tiles, const Run& run,
               const Totals& totals, Ahead& ahead) {
  const RowOrder& order = a.order;
  for (int64_t tile = tiles.first; tile < tiles.end; ++tile) {
    const int64_t row = order.first_row(tile);
    const int64_t at = row - order.first_row(tiles.first);
    const Totals own = totals.at == nullptr ? Totals{panel.row_chains(at, 0), Panel::kRowChains}
                                            : Totals{totals.at + at * totals.stride, totals.stride};
    with_tile_rows<kTileRows>(order.first_row(tile + 1) - row, [&]<size_t kRows>() {
      PanelTile<T, kRows>(panel, a, row).add(run, panel.row_chains(at, 0), own, ahead);
    });
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
