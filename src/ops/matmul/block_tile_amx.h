#pragma once

// The product of some rows of A with a panel in the tiles of AMX. These give the integers; vectors
// scale and sum them as block_tile.h does. For *_amx.cc files.

#include "ops/matmul/ahead.h"
#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_quad.h"
#include "simd/tiles.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// What a tile needs to know of a format.
template <bool kSignedBytes, int64_t kHalvesOf, bool kHasMinimum>
struct Traits {
  static constexpr bool kSigned = kSignedBytes;  // of B; see panel_bytes()
  static constexpr int64_t kHalves = kHalvesOf;
  static constexpr bool kMinimum = kHasMinimum;
};
template <class Format>
using TraitsOf =
    Traits<Format::kOffset != 0, static_cast<int64_t>(Format::kHalves), Format::kMinimum>;

constexpr RowForm kTileForm = RowForm::kFullTiles;  // 32 bytes of a row are a row of a tile

// Tiles 0 to 3 hold integers, 4 and 5 rows of A, 6 and 7 columns of B.
constexpr uint64_t kDotTiles = 4;

/// The processor's tiles for the length of a product.
template <class T>
class TileUnit {
 public:
  TileUnit() = default;
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
  ~TileUnit() { simd::CORRAL_ISA::release_tiles(); }

  void use_rows(int64_t rows) {
    if (rows == rows_) return;
    rows_ = rows;
    constexpr int64_t kBytes = kGroup / T::kHalves;  // of K at a time
    simd::CORRAL_ISA::TileShapes shapes;
    for (int tile = 0; tile < 4; ++tile) shapes.set(tile, rows, 64);
    for (int tile = 4; tile < 6; ++tile) shapes.set(tile, rows, kBytes);
    for (int tile = 6; tile < 8; ++tile) shapes.set(tile, kBytes / 4, 64);
    simd::CORRAL_ISA::load_shapes(shapes);
  }

 private:
  int64_t rows_ = 0;
};

/// Steps of a chain of a tile for one vector of columns. A step is a group, or half of one where
/// halves have scales of their own.
struct Segment {
  int64_t tile;
  int64_t chain;
  int64_t v;
};

/// Tiles of rows of A, each of at most kRows, times the columns of the panel. kRows rows are always
/// multiplied; those behind a tile's own are whatever lies there and go nowhere.
template <class T, size_t kRows>
class TileFlow {
 public:
  /// `dots`: kDotTiles * kTileNumbers integers. (Not a member: what the tiles write may be any
  /// object in memory, and the others are to stay in registers.)
  TileFlow(const Panel& panel, const BlockRows& a, const Tiles& tiles, const Run& run,
           const Totals& totals, int32_t* dots)
      : panel_(panel), a_(a), tiles_(tiles), run_(run), totals_(totals), dots_(dots) {}

  static constexpr int64_t kTileNumbers = int64_t{kRows} * kVectorColumns;

  /// For each group `lines` lines are asked for. Integers go through memory. A tile is stored when
  /// it is needed again, and its integers are scaled after the next product has begun, so that the
  /// two units work at the same time; also across the ends of segments.
  [[gnu::always_inline]] void add(Ahead& ahead, int64_t lines) {
    begin(first_);
    skip_empty();
    for (uint64_t i = 0; i < kDotTiles + 1; ++i) go_on(ahead, lines);
    for (Segment at = first_; at.tile < tiles_.end; next(at)) add_segment(at, ahead, lines);
  }

 private:
  static constexpr int64_t kVectors = int64_t{kTileVectors};

  template <class F>
  [[gnu::always_inline]] static void each_row(const F& f) {
#pragma GCC unroll 16
    for (size_t i = 0; i < kRows; ++i) f(static_cast<int64_t>(i));
  }

  void next(Segment& at) const {
    if (++at.v < kVectors) return;
    at.v = 0;
    if (++at.chain < run_.end_chain) return;
    at.chain = run_.chain;
    ++at.tile;
  }
  int64_t steps_of(const Segment& at) const { return run_.quads(at.chain) * T::kHalves; }
  int64_t row_of(int64_t tile) const { return a_.order.first_row(tile); }
  /// The number of the first group of a segment among those of A.
  int64_t group_of(const Segment& at) const {
    const int64_t row = row_of(at.tile);
    const int64_t own = row_of(at.tile + 1) - row;
    return row * a_.order.quads * kQuadGroups + (a_.order.quads * at.chain + run_.first) * own;
  }

  // What is to be multiplied next.

  void begin(const Segment& at) {
    own_rows_ = row_of(at.tile + 1) - row_of(at.tile);
    next_a_ = a_.bytes + group_of(at) * kGroup;
    next_b_ = panel_.group_bytes(panel_.group(at.chain, 0)) + at.v * 64;
    left_ = steps_of(at);
  }
  void skip_empty() {
    while (left_ == 0) {
      next(multiplied_);
      if (multiplied_.tile == tiles_.end) return;
      begin(multiplied_);
    }
  }

  /// Stores the integers of the oldest product and begins another in its tile.
  [[gnu::always_inline]] void go_on(Ahead& ahead, int64_t lines) {
    switch (turn_++ % kDotTiles) {
      case 0:
        return go_on_in<0>(ahead, lines);
      case 1:
        return go_on_in<1>(ahead, lines);
      case 2:
        return go_on_in<2>(ahead, lines);
      default:
        return go_on_in<3>(ahead, lines);
    }
  }
  template <int kTile>
  [[gnu::always_inline]] void go_on_in(Ahead& ahead, int64_t lines) {
    constexpr int kA = 4 + kTile % 2;
    constexpr int kB = 6 + kTile % 2;
    int32_t* const slot = dots_ + kTile * kTileNumbers;
    if (left_ == 0) {
      simd::CORRAL_ISA::store_tile<kTile>(slot, 64);
      return;
    }
    simd::CORRAL_ISA::load_tile<kA>(next_a_, kGroup);
    simd::CORRAL_ISA::load_tile<kB>(next_b_, kPanelColumns * 4);
    simd::CORRAL_ISA::store_tile<kTile>(slot, 64);
    simd::CORRAL_ISA::zero_tile<kTile>();
    simd::CORRAL_ISA::add_products_of_bytes<kTile, kA, kB, T::kSigned>();
    next_b_ += kGroup / T::kHalves * kPanelColumns;
    const bool group_ends = T::kHalves == 1 || left_ % 2 == 1;
    next_a_ += group_ends ? own_rows_ * kGroup - (T::kHalves - 1) * 16 : 16;
    if (multiplied_.v + 1 == kVectors) fetch_next_tile();
    if (multiplied_.v == 0 && group_ends) {
      for (int64_t line = 0; line < lines; ++line) ahead.fetch();
    }
    if (--left_ == 0) skip_empty();
  }

  /// Asks for what lies here of the next tile's rows: they pass by once, from the second cache.
  [[gnu::always_inline]] void fetch_next_tile() const {
    const int8_t* const at = next_a_ + a_.order.quads * kQuad * own_rows_;
    for (int64_t i = 0; i < int64_t{kRows} * kGroup; i += 64) __builtin_prefetch(at + i, 0, 3);
  }

  // What is scaled meanwhile.

  [[gnu::always_inline]] void add_segment(const Segment& at, Ahead& ahead, int64_t lines) {
    const int64_t row = row_of(at.tile);
    const int64_t own = row_of(at.tile + 1) - row;
    const int64_t block_row = row - row_of(tiles_.first);
    float* const kept = panel_.row_chains(block_row, at.chain) + at.v * kVectorColumns;
    float* const totals = totals_.at + block_row * totals_.stride + at.v * kVectorColumns;
    F32 sums[kRows];
    each_row([&](int64_t i) {
      sums[i] = run_.starts ? F32{} : simd::CORRAL_ISA::load(kept + i * Panel::kRowChains);
      // By the time of the stores their lines are there: stores that miss wait for one another.
      if (run_.ends) __builtin_prefetch(totals + i * totals_.stride, 1, 3);
    });
    const int64_t group = group_of(at);
    const int64_t columns = panel_.group(at.chain, 0) * T::kHalves * kPanelColumns + at.v * 16;
    const float* row_scales = a_.scales + group;
    const float* row_sums = a_.sums + group * T::kHalves;
    const float* scales = panel_.scale + columns;
    const float* minima = panel_.minimum + columns;
    const int64_t quads = run_.quads(at.chain);
    for (int64_t quad = 0; quad < quads; ++quad) {
      for (int64_t half = 0; half < T::kHalves; ++half) {
        const int32_t* dots = dots_ + (turn_ - 1) % kDotTiles * kTileNumbers;
        go_on(ahead, lines);
        add_scaled_dots(sums, dots, row_scales, scales);
        scales += kPanelColumns;
      }
      if constexpr (T::kMinimum) {
        for (int64_t half = 0; half < T::kHalves; ++half) {
          add_minimum(sums, row_sums + half, minima);
          minima += kPanelColumns;
        }
      }
      row_scales += own;
      row_sums += own * T::kHalves;
    }
    each_row([&](int64_t i) {
      if (i >= own) return;
      float* const to = run_.ends ? totals + i * totals_.stride : kept + i * Panel::kRowChains;
      if (run_.ends && at.chain > 0) sums[i] = simd::CORRAL_ISA::load(to) + sums[i];
      simd::CORRAL_ISA::store(to, sums[i]);
    });
  }

  [[gnu::always_inline]] static void add_scaled_dots(F32 (&sums)[kRows], const int32_t* dots,
                                                     const float* rows, const float* scales) {
    const F32 columns = simd::CORRAL_ISA::load(scales);
    each_row([&](int64_t i) {
      const auto dot = simd::CORRAL_ISA::load<I32>(dots + i * kVectorColumns);
      sums[i] = simd::CORRAL_ISA::fma(__builtin_convertvector(dot, F32),
                                      simd::CORRAL_ISA::set1(rows[i]) * columns, sums[i]);
    });
  }
  [[gnu::always_inline]] static void add_minimum(F32 (&sums)[kRows], const float* row_sums,
                                                 const float* minima) {
    const F32 columns = simd::CORRAL_ISA::load(minima);
    each_row([&](int64_t i) {
      sums[i] =
          simd::CORRAL_ISA::fma(simd::CORRAL_ISA::set1(row_sums[i * T::kHalves]), columns, sums[i]);
    });
  }

  const Panel& panel_;
  const BlockRows& a_;
  const Tiles& tiles_;
  const Run& run_;
  const Totals& totals_;
  const Segment first_ = {tiles_.first, run_.chain, 0};
  Segment multiplied_ = first_;
  uint64_t turn_ = 0;     // products begun, and those that there would be behind the last
  int64_t left_ = 0;      // steps of the segment that is being multiplied
  int64_t own_rows_ = 0;  // of its tile
  const int8_t* next_a_ = nullptr;
  const std::byte* next_b_ = nullptr;
  int32_t* dots_;
};

/// Adds a run of the chains of tiles of at most kRows rows each.
template <size_t kRows, class T>
void flow(const Panel& panel, const BlockRows& a, const Tiles& tiles, const Run& run,
          const Totals& totals, Ahead& ahead, int64_t lines, TileUnit<T>& unit) {
  using Flow = TileFlow<T, kRows>;
  alignas(64) int32_t dots[kDotTiles * static_cast<uint64_t>(Flow::kTileNumbers)];
  unit.use_rows(static_cast<int64_t>(kRows));
  Flow(panel, a, tiles, run, totals, dots).add(ahead, lines);
}

/// Adds a run of the tiles' chains.
template <class T>
void add_tiles(const Panel& panel, const BlockRows& a, const Tiles& tiles, const Run& run,
               const Totals& totals, Ahead& ahead, int64_t lines, TileUnit<T>& unit) {
  const RowOrder& order = a.order;
  // The last tile may have fewer rows, which are multiplied as the next multiple of four.
  const int64_t last = order.first_row(tiles.end) - order.first_row(tiles.end - 1);
  const int64_t full = last + 4 > kMostTileRows ? tiles.end : tiles.end - 1;
  if (tiles.first < full) flow<16>(panel, a, {tiles.first, full}, run, totals, ahead, lines, unit);
  if (full == tiles.end) return;
  const Tiles rest = {full, tiles.end};
  Panel rest_panel = panel;
  const int64_t row = order.first_row(full) - order.first_row(tiles.first);
  rest_panel.chains = panel.row_chains(row, 0);
  const Totals rest_totals = {totals.at + row * totals.stride, totals.stride};
  if (last > 8) {
    flow<12>(rest_panel, a, rest, run, rest_totals, ahead, lines, unit);
  } else if (last > 4) {
    flow<8>(rest_panel, a, rest, run, rest_totals, ahead, lines, unit);
  } else {
    flow<4>(rest_panel, a, rest, run, rest_totals, ahead, lines, unit);
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
