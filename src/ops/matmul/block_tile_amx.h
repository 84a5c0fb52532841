#pragma once

// The product of a panel with some rows of A in the tiles of AMX. These give the integers; vectors
// scale and sum them as block_tile.h does. For *_amx.cc files.

#include <type_traits>

#include "ops/matmul/ahead.h"
#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_scales.h"
#include "simd/tiles.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// What a tile needs to know of a format.
template <bool kSignedBytes, int64_t kHalvesOf, bool kHasMinimum>
struct Traits {
  static constexpr bool kSigned = kSignedBytes;  // of B; see tile_bytes()
  static constexpr int64_t kHalves = kHalvesOf;
  static constexpr bool kMinimum = kHasMinimum;
};
template <class Format>
using TraitsOf =
    Traits<Format::kOffset != 0, static_cast<int64_t>(Format::kHalves), Format::kMinimum>;

constexpr RowForm kTileForm = RowForm::kLanes;
// All chains in one go, whose tiles come by chain after chain.
constexpr bool kCutsChains = false;
// Lines of a row of a panel up to which they are asked for between products; of longer rows the
// processor sees streams while they are unpacked.
constexpr int64_t kMostLinesAhead = 16;

// A tile of columns of the panel times one of rows of A is a tile of integers, a row of the panel's
// columns and a lane of the rows of A. Tiles 0 to 3 hold integers, 4 and 5 columns, 6 and 7 rows.
constexpr uint64_t kDotTiles = 4;
constexpr int64_t kTileColumns = kVectorColumns;
constexpr auto kLanes = static_cast<int64_t>(kTileRows);
// Integers of one tile are stored while those of the one before are scaled.
constexpr int64_t kSlots = 2;
constexpr int64_t kSlotNumbers = kTileColumns * kLanes;

/// Where tiles leave the total of a row and column.
inline const float& kept_total(const Panel& panel, int64_t row, int64_t col) {
  const int64_t lane = row % kLanes;
  return panel.chain_rows(0, row - lane)[col * kLanes + lane];
}

/// The processor's tiles for the length of a product, of which each takes kBytes of K.
template <int64_t kBytes>
class TileUnit {
 public:
  TileUnit() {
    simd::CORRAL_ISA::TileShapes shapes;
    for (int tile = 0; tile < 4; ++tile) shapes.set(tile, kTileColumns, kLanes * 4);
    for (int tile = 4; tile < 6; ++tile) shapes.set(tile, kTileColumns, kBytes);
    for (int tile = 6; tile < 8; ++tile) shapes.set(tile, kBytes / 4, kLanes * 4);
    simd::CORRAL_ISA::load_shapes(shapes);
  }
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
  ~TileUnit() { simd::CORRAL_ISA::release_tiles(); }
};

/// BlockPanels::arrange.
inline void arrange_rows(const int8_t* rows, const BlockRows& a, int64_t tile) {
  const int64_t first = a.order.first_row(tile);
  const int64_t own = a.order.first_row(tile + 1) - first;
  const int64_t quads = a.order.quads;
  int8_t* const to = a.bytes + first * quads * kQuad;
  for (int64_t quad = 0; quad < quads; ++quad) {
    for (int64_t half = 0; half < 2; ++half) {
      Bytes words[16] = {};
      for (int64_t i = 0; i < own; ++i) {
        words[i] = load64<Bytes>(rows + (i * quads + quad) * kQuad + half * 64);
      }
      Bytes columns[16];  // word k of group g is 4g + k
      transpose_sixteen(words, columns);
      for (int64_t g = 0; g < kQuadGroups; ++g) {
        int8_t* const group = to + ((g * quads + quad) * 2 + half) * 16 * kLanes;
        for (int64_t k = 0; k < 4; ++k) store64(group + k * 4 * kLanes, columns[4 * g + k]);
      }
    }
  }
}

/// Brings the lanes of 16 columns, at most `rows` of them, to rows of C, `stride` apart.
[[gnu::always_inline]] inline void store_rows(const F32 (&sums)[kTileColumns], float* to,
                                              int64_t stride, int64_t rows) {
  Bytes columns[16];
#pragma GCC unroll 16
  for (int64_t i = 0; i < 16; ++i) columns[i] = {{reinterpret_cast<U8>(sums[i])}};
  Bytes lanes[16];
  transpose_sixteen(columns, lanes);
#pragma GCC unroll 16
  for (int64_t i = 0; i < kLanes; ++i) {
    if (i < rows) store64(to + i * stride, lanes[i]);
  }
}

/// Steps of a chain of a tile of rows of A for one tile of columns. A step is a group, or half of
/// one where halves have scales of their own.
struct Segment {
  int64_t tile;
  int64_t chain;
  int64_t v;
};

/// The columns of the panel times tiles of rows of A, the last of which may hold fewer: what is
/// computed of the others goes nowhere. (Narrower vectors for such a tile are no faster.)
template <class T>
class TileFlow {
 public:
  /// `dots`: kSlots * kSlotNumbers integers. (Not a member: what the tiles write may be any object
  /// in memory, and the others are to stay in registers.)
  TileFlow(const Panel& panel, const BlockRows& a, const Tiles& tiles, const Run& run,
           const Totals& totals, int32_t* dots)
      : panel_(panel), a_(a), tiles_(tiles), run_(run), totals_(totals), dots_(dots) {}

  /// Each group is a turn of `ahead`. Integers go through memory. A tile is stored when
  /// it is needed again, and its integers are scaled while the next product begins, so that the two
  /// units work at the same time; also across the ends of segments.
  [[gnu::always_inline]] void add(Ahead& ahead) {
    begin(first_);
    skip_empty();
    for (uint64_t i = 0; i < kDotTiles + 1; ++i) {
      take_turn(ahead, [](const int32_t*, auto) {});
    }
    for (Segment at = first_; at.chain < run_.end_chain; next(at)) add_segment(at, ahead);
  }

 private:
  static constexpr int64_t kTilesOfColumns = kPanelColumns / kTileColumns;
  static constexpr int64_t kPart = kTileColumns / 4;

  void next(Segment& at) const {
    if (++at.v < kTilesOfColumns) return;
    at.v = 0;
    if (++at.tile < tiles_.end) return;
    at.tile = tiles_.first;
    ++at.chain;
  }
  int64_t steps_of(const Segment& at) const { return run_.quads(at.chain) * T::kHalves; }
  /// The place of the first group of a segment among those of A.
  int64_t group_of(const Segment& at) const {
    return a_.order.first_row(at.tile) * a_.order.quads * kQuadGroups +
           (a_.order.quads * at.chain + run_.first) * kLanes;
  }

  // What is to be multiplied next.

  void begin(const Segment& at) {
    next_columns_ = panel_.group_bytes(panel_.group(at.chain, 0)) + at.v * kTileColumns * kGroup;
    next_rows_ = a_.bytes + group_of(at) * kGroup;
    left_ = steps_of(at);
    Segment later = at;
    later.v = kTilesOfColumns - 1;
    next(later);
    rows_ahead_ = (later.chain < run_.end_chain ? group_of(later) - group_of(at) : 0) * kGroup;
  }
  void skip_empty() {
    while (left_ == 0) {
      next(multiplied_);
      if (multiplied_.chain == run_.end_chain) return;
      begin(multiplied_);
    }
  }

  /// Stores the integers of the oldest product and begins another in its tile. Between its
  /// instructions scale(dots, number) works on parts 0 to 3 of the integers stored the turn before.
  template <class Scale>
  [[gnu::always_inline]] void take_turn(Ahead& ahead, const Scale& scale) {
    switch (turn_++ % kDotTiles) {
      case 0:
        return take_turn_in<0>(ahead, scale);
      case 1:
        return take_turn_in<1>(ahead, scale);
      case 2:
        return take_turn_in<2>(ahead, scale);
      default:
        return take_turn_in<3>(ahead, scale);
    }
  }
  template <int kTile, class Scale>
  [[gnu::always_inline]] void take_turn_in(Ahead& ahead, const Scale& scale) {
    constexpr int kColumns = 4 + kTile % 2;
    constexpr int kRows = 6 + kTile % 2;
    int32_t* const slot = dots_ + kTile % kSlots * kSlotNumbers;
    const int32_t* const before = dots_ + (kTile + 1) % kSlots * kSlotNumbers;
    const bool begins = left_ != 0;
    if (begins) simd::CORRAL_ISA::load_tile<kColumns>(next_columns_, kGroup);
    scale(before, std::integral_constant<int64_t, 0>());
    if (begins) simd::CORRAL_ISA::load_tile<kRows>(next_rows_, kLanes * 4);
    scale(before, std::integral_constant<int64_t, 1>());
    simd::CORRAL_ISA::store_tile<kTile>(slot, kLanes * 4);
    scale(before, std::integral_constant<int64_t, 2>());
    if (begins) {
      simd::CORRAL_ISA::zero_tile<kTile>();
      simd::CORRAL_ISA::add_products_of_bytes<kTile, kColumns, kRows, T::kSigned>();
      go_on(ahead);
    }
    scale(before, std::integral_constant<int64_t, 3>());
  }
  [[gnu::always_inline]] void go_on(Ahead& ahead) {
    const bool group_ends = T::kHalves == 1 || left_ % 2 == 1;
    next_rows_ += kGroup / T::kHalves * kLanes;
    next_columns_ += group_ends ? kPanelColumns * kGroup - (T::kHalves - 1) * 16 : 16;
    if (multiplied_.v + 1 == kTilesOfColumns) fetch_next_rows();
    if (multiplied_.v == 0 && group_ends) ahead.take_turn();
    if (--left_ == 0) skip_empty();
  }

  /// Asks for what lies here of the rows that come after these, from the second cache.
  [[gnu::always_inline]] void fetch_next_rows() const {
    const int8_t* const at = next_rows_ + rows_ahead_;
    for (int64_t i = 0; i < kLanes * kGroup; i += 64) __builtin_prefetch(at + i, 0, 3);
  }

  // What is scaled meanwhile.

  [[gnu::always_inline]] void add_segment(const Segment& at, Ahead& ahead) {
    const int64_t row = a_.order.first_row(at.tile);
    const int64_t block_row = row - a_.order.first_row(tiles_.first);
    const auto chain_of = [&](int64_t chain) {
      return panel_.chain_rows(chain, block_row) + at.v * kTileColumns * kLanes;
    };
    F32 sums[kTileColumns];
    each_column([&](int64_t i) __attribute__((always_inline)) {
      sums[i] = run_.starts ? F32{} : simd::CORRAL_ISA::load(chain_of(at.chain) + i * kLanes);
    });
    const int64_t group = group_of(at);
    const int64_t columns =
        panel_.group(at.chain, 0) * T::kHalves * kPanelColumns + at.v * kTileColumns;
    const float* row_scales = a_.scales + group;
    const float* row_sums = a_.sums + group * T::kHalves;
    const float* scales = panel_.scale + columns;
    const float* minima = panel_.minimum + columns;
    const int64_t quads = run_.quads(at.chain);
    for (int64_t quad = 0; quad < quads; ++quad) {
      const F32 rows = simd::CORRAL_ISA::load(row_scales);
      for (int64_t half = 0; half < T::kHalves; ++half) {
        take_turn(
            ahead, [&](const int32_t* dots, auto part) __attribute__((always_inline)) {
              each_column_of(
                  part, [&](int64_t i) __attribute__((always_inline)) {
                    const auto dot = simd::CORRAL_ISA::load<I32>(dots + i * kLanes);
                    sums[i] =
                        simd::CORRAL_ISA::fma(__builtin_convertvector(dot, F32),
                                              simd::CORRAL_ISA::set1(scales[i]) * rows, sums[i]);
                  });
            });
        scales += kPanelColumns;
      }
      if constexpr (T::kMinimum) {
        for (int64_t half = 0; half < T::kHalves; ++half) {
          const F32 sums_of_rows = simd::CORRAL_ISA::load(row_sums);
          each_column([&](int64_t i) __attribute__((always_inline)) {
            sums[i] =
                simd::CORRAL_ISA::fma(simd::CORRAL_ISA::set1(minima[i]), sums_of_rows, sums[i]);
          });
          minima += kPanelColumns;
          row_sums += kLanes;
        }
      }
      row_scales += kLanes;
    }
    if (run_.ends && at.chain > 0) {
      each_column([&](int64_t i) __attribute__((always_inline)) {
        sums[i] = simd::CORRAL_ISA::load(chain_of(0) + i * kLanes) + sums[i];
      });
    }
    if (run_.ends && at.chain + 1 == kQuadGroups && totals_.at != nullptr) {
      float* const to = totals_.at + block_row * totals_.stride + at.v * kTileColumns;
      return store_rows(sums, to, totals_.stride, a_.order.first_row(at.tile + 1) - row);
    }
    each_column([&](int64_t i) __attribute__((always_inline)) {
      simd::CORRAL_ISA::store(chain_of(run_.ends ? 0 : at.chain) + i * kLanes, sums[i]);
    });
  }

  // (No loops, whose indices would be known only after arrays have been given places in memory.)
  template <class Part, class Each>
  [[gnu::always_inline]] static void each_column_of(Part, const Each& f) {
    constexpr int64_t kFirst = Part::value * kPart;
    f(kFirst), f(kFirst + 1), f(kFirst + 2), f(kFirst + 3);
  }
  template <class Each>
  [[gnu::always_inline]] static void each_column(const Each& f) {
    each_column_of(std::integral_constant<int64_t, 0>(), f);
    each_column_of(std::integral_constant<int64_t, 1>(), f);
    each_column_of(std::integral_constant<int64_t, 2>(), f);
    each_column_of(std::integral_constant<int64_t, 3>(), f);
  }

  const Panel& panel_;
  const BlockRows& a_;
  const Tiles& tiles_;
  const Run& run_;
  const Totals& totals_;
  const Segment first_ = {tiles_.first, run_.chain, 0};
  Segment multiplied_ = first_;
  uint64_t turn_ = 0;       // products begun, and those that there would be behind the last
  int64_t rows_ahead_ = 0;  // bytes to the rows that come after these
  int64_t left_ = 0;        // steps of the segment that is being multiplied
  const std::byte* next_columns_ = nullptr;
  const int8_t* next_rows_ = nullptr;
  int32_t* dots_;
};

/// Adds a run of the tiles' chains.
template <class T>
void add_tiles(const Panel& panel, const BlockRows& a, const Tiles& tiles, const Run& run,
               const Totals& totals, Ahead& ahead) {
  alignas(64) int32_t dots[kSlots * kSlotNumbers];
  TileFlow<T>(panel, a, tiles, run, totals, dots).add(ahead);
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
