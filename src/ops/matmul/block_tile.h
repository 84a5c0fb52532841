#pragma once

// The product of some rows of A with a panel, whose sums stay in registers. For *_isa.cc files.

#include <type_traits>

#include "ops/matmul/ahead.h"
#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_quad.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Scales of sixteen columns in a group.
template <bool kAdds>
class ColumnScales {
 public:
  void read(const float* columns) { columns_ = columns; }
  /// Times the scale of a row of A.
  Floats times(float row) const { return product(load64<Floats>(columns_), broadcast(row)); }

 private:
  const float* columns_;
};

/// Whether a scale of A that is a power of two is added to the exponents of those of B: where the
/// units that multiply are all that tiles wait for. Scales of B that are not finite become numbers
/// then; to keep them would cost up to 8 %, and single rows still show what is wrong with the file.
#if defined(__AVX512F__)
constexpr bool kAddsPowers = true;

template <>
class ColumnScales<true> {
 public:
  void read(const float* columns) {
    const auto bits = load64<Ints>(columns);
    const auto all = reinterpret_cast<__m512i>(bits.part[0]);
    less_one_ = _mm512_sub_epi32(all, _mm512_set1_epi32(kOne));
    are_some_ = _mm512_test_epi32_mask(all, _mm512_set1_epi32(0x7FFFFFFF));
  }
  Floats times(float row) const {
    int32_t bits;
    std::memcpy(&bits, &row, sizeof(bits));
    return {{reinterpret_cast<F32>(
        _mm512_maskz_add_epi32(are_some_, less_one_, _mm512_set1_epi32(bits)))}};
  }

 private:
  static constexpr int32_t kOne = 0x3F800000;  // the bits of 1
  __m512i less_one_;
  __mmask16 are_some_;  // not zeros, which have no exponent
};
#else
constexpr bool kAddsPowers = false;
#endif

/// The columns of a group of a panel as tiles find them: bytes, and scales in a place of their own.
struct PanelColumns {
  static constexpr int64_t kStepBytes = Panel::kGroupBytes;  // to the next group of a chain
  static constexpr bool kScalesBehind = false;
};

/// Scales of f16 behind the bytes of their group.
class ScalesBehind {
 public:
  void read(const std::byte* at) { columns_ = floats_of_halves(at); }
  Floats times(float row) const { return product(columns_, broadcast(row)); }

 private:
  Floats columns_;
};

/// What a tile needs to know of a format, and of where its columns are.
template <bool kWideBytes, bool kHasOffset, int64_t kWordsOf, int64_t kHalvesOf, bool kHasMinimum,
          bool kHasPowers, class ColumnsOf>
struct Traits {
  using Products = CORRAL_ISA::Products<kWideBytes>;
  static constexpr bool kOffset = kHasOffset;
  static constexpr int64_t kWords = kWordsOf;
  static constexpr int64_t kHalves = kHalvesOf;
  static constexpr bool kMinimum = kHasMinimum;
  static constexpr bool kPowers = kHasPowers;
  using Columns = ColumnsOf;
  using Scales = std::conditional_t<Columns::kScalesBehind, ScalesBehind, ColumnScales<kHasPowers>>;
};
template <class Format, class Columns = PanelColumns>
using TraitsOf = Traits<Format::kWide, Format::kOffset != 0, Format::kWords,
                        static_cast<int64_t>(Format::kHalves), Format::kMinimum,
                        kAddsPowers && Format::kPowers, Columns>;

constexpr RowForm kTileForm = RowForm::kEvenTiles;
constexpr bool kCutsChains = true;  // into runs that fit into the level-1 cache
constexpr int64_t kMostLinesAhead = int64_t{1} << 62;

constexpr decltype(BlockPanels::arrange) arrange_rows = nullptr;

/// Where tiles leave the total of a row and column.
inline const float& kept_total(const Panel& panel, int64_t row, int64_t col) {
  return panel.chain_rows(0, row)[col];
}

/// What tiles need of the processor for the length of a product: nothing.
template <int64_t kBytes>
struct TileUnit {
  TileUnit() {}
};

/// kRows rows of A, from `row` on, times the columns of the panel.
template <class T, size_t kRows>
class PanelTile {
  static constexpr auto kOwnRows = static_cast<int64_t>(kRows);
  using Products = AllProducts<typename T::Products>;

 public:
  PanelTile(const Panel& panel, const BlockRows& a, int64_t row)
      : panel_(panel), a_(a), row_(row), numbers_(row * a.order.quads * kQuadGroups) {}

  /// Goes on with chains of the block's rows from `block_row` on, which the panel keeps between
  /// panels. The first one that ends begins the totals, in its place; the others are added. Each
  /// group is a turn of `ahead`.
  void add(const Run& run, int64_t block_row, const Totals& totals, Ahead& ahead) {
    const bool totals_end = run.ends && run.end_chain == kQuadGroups && totals.at != nullptr;
    // By the time of the stores their lines are there: stores that miss wait for one another.
    if (totals_end) {
      each_sum([&](size_t i, size_t v) { __builtin_prefetch(place(totals, i, v), 1, 3); });
    }
    const auto kept = [&](int64_t chain) {
      return Totals{panel_.chain_rows(chain, block_row), kPanelColumns};
    };
    for (int64_t chain = run.chain; chain < run.end_chain; ++chain) {
      Floats sums[kRows][kTileVectors];
      each_sum([&](size_t i, size_t v) {
        sums[i][v] = run.starts ? nothing(i) : load64<Floats>(place(kept(chain), i, v));
      });
      add_chain(sums, run, chain, ahead);
      if (run.ends && chain > 0) {
        each_sum([&](size_t i, size_t v) {
          sums[i][v] = sum(load64<Floats>(place(kept(0), i, v)), sums[i][v]);
        });
      }
      const bool is_last = totals_end && chain + 1 == kQuadGroups;
      const Totals to = is_last ? totals : kept(run.ends ? 0 : chain);
      each_sum([&](size_t i, size_t v) { store64(place(to, i, v), sums[i][v]); });
    }
  }

 private:
  /// What chains of a row begin with. A power of two that is NaN would be a number in an addition.
  Floats nothing(size_t i) const {
    return broadcast(T::kPowers ? a_.zeros[row_ + static_cast<int64_t>(i)] : 0.0f);
  }
  template <class F>
  static void each_sum(const F& f) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) f(i, v);
    }
  }
  static float* place(const Totals& rows, size_t i, size_t v) {
    return rows.at + static_cast<int64_t>(i) * rows.stride + v * kVectorColumns;
  }
  /// Where the numbers of a group are: columns of the panel and rows of A.
  struct Group {
    const std::byte* words;  // 16 bytes of all columns, then the others
    const float* scale;
    const float* minimum;
    const int8_t* bytes;  // 16 of all rows, then the others
    const float* row_scale;
    const int32_t* start;
    const float* row_sum;

    auto scales_of(int64_t half, size_t v) const {
      if constexpr (T::Columns::kScalesBehind) {
        return words + kGroup * kPanelColumns + v * kVectorColumns * 2;
      } else {
        return scale + half * kPanelColumns + v * kVectorColumns;
      }
    }
    /// The next one of the chain.
    void step() {
      words += T::Columns::kStepBytes;
      scale += T::kHalves * kPanelColumns;
      minimum += T::kHalves * kPanelColumns;
      bytes += kGroup * kOwnRows;
      row_scale += kOwnRows;
      start += T::kHalves * kOwnRows;
      row_sum += T::kHalves * kOwnRows;
    }
  };
  Group first_group(const Run& run, int64_t chain) const {
    const int64_t b = panel_.group(chain, 0);
    const int64_t b_numbers = b * T::kHalves * kPanelColumns;
    const int64_t a = numbers_ + (a_.order.quads * chain + run.first) * kOwnRows;
    return {.words = panel_.words + chain * panel_.chain_bytes,
            .scale = panel_.scale + b_numbers,
            .minimum = panel_.minimum + b_numbers,
            .bytes = a_.bytes + a * kGroup,
            .row_scale = a_.scales + a,
            .start = a_.start + a * T::kHalves,
            .row_sum = a_.sums + a * T::kHalves};
  }

  void add_chain(Floats (&sums)[kRows][kTileVectors], const Run& run, int64_t chain, Ahead& ahead) {
    Group group = first_group(run, chain);
    for (int64_t left = run.quads(chain); left > 0;) {
      Ahead::Stretch lines = ahead.stretch(left);
      left -= lines.turns;
      for (int64_t turn = 0; turn < lines.turns; ++turn) {
        lines.take_turn();
        add_group(sums, group);
        group.step();
      }
    }
  }

  // Inlined, all of them: a call would bring what is in registers to memory.

  [[gnu::always_inline]] static void add_group(Floats (&sums)[kRows][kTileVectors],
                                               const Group& group) {
    constexpr int64_t kHalfWords = 8 / T::kHalves;
    Ints dots[kRows][kTileVectors];
    Products products[kRows][kTileVectors];
#pragma GCC unroll 8
    for (int64_t word = 0; word < 8; ++word) {
      const int64_t half = word / kHalfWords;
      const auto start = [&](size_t i) {
        return broadcast(T::kOffset ? group.start[half * kOwnRows + static_cast<int64_t>(i)] : 0);
      };
      if (word % T::kWords == 0) {
        each_sum([&](size_t i, size_t v) { products[i][v].begin(start(i)); });
      }
      add_word(products, group.words + word * 4 * kPanelColumns,
               group.bytes + word / 4 * 16 * kOwnRows + word % 4 * 4);
      if ((word + 1) % T::kWords != 0) continue;
      const bool is_whole = (word + 1) % kHalfWords == 0;
      typename T::Scales scales[kTileVectors];
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) scales[v].read(group.scales_of(half, v));
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
        for (size_t v = 0; v < kTileVectors; ++v) {
          const Ints own = products[i][v].end(start(i));
          dots[i][v] = word % kHalfWords < T::kWords ? own : sum(dots[i][v], own);
        }
        if (!is_whole) continue;
        // Row by row: sixteen registers would not hold the dots of all.
        scale(sums[i], dots[i], group.row_scale[i], scales);
      }
    }
    if constexpr (T::kMinimum) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < T::kHalves; ++half) {
        add_minimum(sums, group.row_sum + half * kOwnRows, group.minimum + half * kPanelColumns);
      }
    }
  }

  [[gnu::always_inline]] static void add_word(Products (&products)[kRows][kTileVectors],
                                              const std::byte* columns, const int8_t* rows) {
    Bytes words[kTileVectors];
#pragma GCC unroll 2
    for (size_t v = 0; v < kTileVectors; ++v) words[v] = load64<Bytes>(columns + v * 64);
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const Bytes word = broadcast4(rows + i * 16);
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) products[i][v].add(words[v], word);
    }
  }

  [[gnu::always_inline]] static void scale(Floats (&sums)[kTileVectors],
                                           const Ints (&dots)[kTileVectors], float row_scale,
                                           const typename T::Scales (&scales)[kTileVectors]) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kTileVectors; ++v) {
      sums[v] = add_product(sums[v], to_floats(dots[v]), scales[v].times(row_scale));
    }
  }

  [[gnu::always_inline]] static void add_minimum(Floats (&sums)[kRows][kTileVectors],
                                                 const float* rows, const float* columns) {
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
  int64_t row_;
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

/// RowOrder::first_row() of one tile after the other, without its divisions.
class EvenTiles {
 public:
  EvenTiles(const RowOrder& order, int64_t tile)
      : tiles_(order.tiles()),
        whole_(order.rows / tiles_),
        rest_(order.rows % tiles_),
        row_(order.first_row(tile)),
        error_(tile * rest_ % tiles_) {}

  int64_t row() const { return row_; }
  void step() {
    row_ += whole_;
    error_ += rest_;
    if (error_ >= tiles_) {
      error_ -= tiles_;
      ++row_;
    }
  }

 private:
  int64_t tiles_;
  int64_t whole_;
  int64_t rest_;
  int64_t row_;
  int64_t error_;
};

/// Adds a run of the tiles' chains.
template <class T>
void add_tiles(const Panel& panel, const BlockRows& a, const Tiles& tiles, const Run& run,
               const Totals& totals, Ahead& ahead) {
  EvenTiles walk(a.order, tiles.first);
  const int64_t first = walk.row();
  for (int64_t tile = tiles.first; tile < tiles.end; ++tile) {
    const int64_t row = walk.row();
    walk.step();
    const int64_t at = row - first;
    Totals own = totals;
    if (own.at != nullptr) own.at += at * totals.stride;
    with_tile_rows<kTileRowsOf<size_t{T::kHalves}>>(walk.row() - row, [&]<size_t kRows>() {
      PanelTile<T, kRows>(panel, a, row).add(run, at, own, ahead);
    });
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
