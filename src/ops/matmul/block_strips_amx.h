#pragma once

// Products of up to four tiles of rows of A. No panel is filled, which would not fit into the
// level-1 cache, but a strip of B passes by, and a step of it is unpacked while the one before is
// multiplied. For *_amx.cc files.

#include "ops/matmul/block_strip.h"
#include "ops/matmul/block_tile_amx.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// How rows of A fill tiles. With kPairs lanes 2i and 2i + 1 are two neighbouring groups of row i,
/// of which the columns of the tile have both: each lane has zeros for the one that is not its own.
/// So eight rows take half the work of sixteen.
template <bool kPairsOfGroups, int64_t kTilesOfRows>
struct StripRows {
  static constexpr bool kPairs = kPairsOfGroups;
  static constexpr int64_t kTiles = kTilesOfRows;
  static constexpr int64_t kGroups = kPairs ? 2 : 1;  // in a tile
  static constexpr int64_t kTileRows = kLanes / kGroups;
  // Of a strip. Few rows wait for memory, which then likes more of them side by side; of many the
  // sums leave no room for two in the level-1 cache beside what passes by.
  static constexpr int64_t kTilesOfColumns = kTiles <= 2 ? 2 : 1;
};

// Of Rows::kPairs the bytes of A are [quads, 2 pairs, halves, 16, 8 rows, 2 groups, 4].
constexpr int64_t kPairBytes = 16 * kLanes * 4;

/// BlockPanels::arrange.
template <class Format>
void arrange_pairs(const int8_t* rows, const BlockRows& a, int64_t tile) {
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  constexpr int64_t kHalfWords = 8 / kHalves;  // of the eight words of a group
  const int64_t first = a.order.first_row(tile);
  const int64_t own = a.order.first_row(tile + 1) - first;
  const int64_t quads = a.order.quads;
  const int64_t bytes = quads * 2 * kHalves * kPairBytes;
  int8_t* const to = a.bytes + tile * bytes;
  std::memset(to, 0, static_cast<size_t>(bytes));
  for (int64_t i = 0; i < own; ++i) {
    for (int64_t quad = 0; quad < quads; ++quad) {
      const int8_t* const from = rows + (i * quads + quad) * kQuad;
      for (int64_t group = 0; group < kQuadGroups; ++group) {
        for (int64_t word = 0; word < 8; ++word) {
          const int64_t half = word / kHalfWords % kHalves;
          int8_t* const pair = to + ((quad * 2 + group / 2) * kHalves + half) * kPairBytes;
          std::memcpy(pair + (group % 2 * 8 + word) * kLanes * 4 + (2 * i + group % 2) * 4,
                      from + word / 4 * 64 + group * 16 + word % 4 * 4, 4);
        }
      }
    }
  }
}

template <class Format, class Rows>
class StripProduct {
 public:
  using T = TraitsOf<Format>;

  static constexpr int64_t kColumns = Rows::kTilesOfColumns * kTileColumns;  // of a strip

  /// What it needs of memory, aligned to a line.
  struct Scratch {
    Strip<Format, kColumns> strip;
    // Sums stay in memory: there are too many for registers.
    float chains[Rows::kTiles][kQuadGroups / Rows::kGroups][size_t{kColumns}][kLanes];
    // Integers of one product are stored while those of the one before are scaled.
    int32_t dots[kSlots][kSlotNumbers];
  };

  StripProduct(const BlockPiece& p, Scratch& scratch)
      : p_(p),
        steps_(p.quads() / kStepQuads),
        strip_bytes_(kColumns * p.b_row_bytes),
        strip_(scratch.strip),
        chains_(scratch.chains),
        dots_(scratch.dots) {}

  void run() {
    begin_strip(0);
    while (unpacked_ < kStepRows) unpack_slice<1>();
    for (int64_t col = 0; col < p_.n; col += kColumns) {
      std::memset(chains_, 0, sizeof(Scratch::chains));
      std::memcpy(multiplied_, starts_, sizeof(starts_));
      for (int64_t step = 0; step < steps_; ++step) multiply_step(col, step);
      // What is still in tiles.
      add_body<false>({}, [] {});
      add_body<false>({}, [] {});
      store(col);
    }
  }

 private:
  static constexpr int64_t kStepQuads = Format::kStepQuads;
  static constexpr int64_t kHalves = T::kHalves;
  static constexpr int64_t kStepRows = kColumns * kStepQuads;
  static constexpr int64_t kPart = kTileColumns / 4;
  // A unit is what a tile holds of K, of all columns and rows: a group or a pair of them, or half
  // of that where halves have scales of their own. A turn is the product of two tiles in it, and a
  // body whole units in which tiles for integers come round a whole number of times.
  static constexpr int64_t kUnitTurns = Rows::kTiles * Rows::kTilesOfColumns;
  static constexpr int64_t kBodyUnits = kUnitTurns == 3 ? 2 : 4 / kUnitTurns;
  static constexpr int kBodyTurns = kBodyUnits * kUnitTurns;
  static constexpr int kDotTilesUsed = kBodyTurns == 6 ? 3 : 4;
  static constexpr int64_t kQuadUnits = kQuadGroups / Rows::kGroups * kHalves;
  // After which a body calls for the scales of its first product, before they are needed.
  static constexpr int kFinishTurn = 3;
  // Of the next step, while a unit is multiplied.
  static constexpr int64_t kUnitRows = kStepRows / (kStepQuads * kQuadUnits);
  static_assert(kBodyTurns % kDotTilesUsed == 0 && kBodyTurns % kSlots == 0);

  struct Unit {
    const std::byte* columns;
    const int8_t* rows;       // of A's first tile
    const float* row_scales;  // likewise
    const float* row_sums;    // likewise, of both halves
    const float* scales;      // of B's first column; kQuadGroups lie between columns
    const float* minima;      // likewise, of both halves; null unless the group ends here
    float (*chains)[kLanes];  // null: there is nothing to add
  };
  struct Body {
    Unit unit[size_t{kBodyUnits}];
  };

  // Unpacking.

  void begin_strip(int64_t col) {
    for (int64_t j = 0; j < kColumns; ++j) starts_[j] = row(col + j);
    std::memcpy(rows_, starts_, sizeof(starts_));
    unpacked_ = 0;
  }
  /// Behind the last row the last is taken again.
  const std::byte* row(int64_t col) const {
    return p_.b + simd::CORRAL_ISA::min(col, p_.n - 1) * p_.b_row_bytes;
  }
  /// A turn's share of the next step. Asks for the same of the strip behind this: memory answers
  /// many rows at a time faster than one after the other.
  template <int64_t kRows>
  [[gnu::always_inline]] void unpack_slice() {
    if (kRows == 0 || unpacked_ == kStepRows) return;
    const int64_t j = kStepQuads == 1 ? unpacked_ : unpacked_ & (kColumns - 1);
    const auto part = static_cast<int>(kStepQuads == 1 ? 0 : unpacked_ / kColumns);
    const int64_t quad = next_quad_ + part;
    const int64_t later = strip_bytes_;
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      const std::byte* const at = rows_[j + i];
      if (part == 0) ask_for_step(at + later);
      strip_.unpack(quad, j + i, at, part);
    }
    unpacked_ += kRows;
    if (part + 1 == kStepQuads) {
#pragma GCC unroll 8
      for (int64_t i = 0; i < kRows; ++i) rows_[j + i] += Format::kStepBytes;
    }
  }
  [[gnu::always_inline]] static void ask_for_step(const std::byte* at) {
#pragma GCC unroll 4
    for (int64_t line = 0; line < Format::kStepBytes; line += 64) {
      __builtin_prefetch(at + line, 0, 2);
    }
  }

  // Multiplying.

  void multiply_step(int64_t col, int64_t step) {
    const int64_t quad = next_quad_;
    next_quad_ = kStepQuads - next_quad_;
    if (step + 1 < steps_) {
      unpacked_ = 0;
    } else if (col + kColumns < p_.n) {
      begin_strip(col + kColumns);
    }
    for (int64_t i = 0; i < kStepQuads * kQuadUnits; i += kBodyUnits) {
      Body body;
      for (int64_t u = 0; u < kBodyUnits; ++u) {
        const int64_t part = (i + u) / kQuadUnits;
        body.unit[u] = unit(step * kStepQuads + part, quad + part, (i + u) % kQuadUnits);
      }
      add_body<true>(
          body, [&]() __attribute__((always_inline)) {
            if (i == 0) unpack_scales(step, quad);
          });
    }
  }
  [[gnu::always_inline]] void unpack_scales(int64_t step, int64_t quad) {
    const std::byte* at[size_t{kColumns}];
    for (int64_t j = 0; j < kColumns; ++j) at[j] = multiplied_[j] + step * Format::kStepBytes;
    strip_.unpack_scales(quad, at);
  }
  /// Unit `number` of quad `quad`, which is `here` in the strip.
  Unit unit(int64_t quad, int64_t here, int64_t number) const {
    const int64_t half = number % kHalves;
    const int64_t chain = number / kHalves * Rows::kGroups;
    Unit u = {.columns = strip_.bytes[here][chain / 2][0],
              .rows = p_.a.bytes,
              .row_scales = p_.a.scales,
              .row_sums = p_.a.sums,
              .scales = strip_.scale[here][half][0] + chain,
              .minima = half + 1 == kHalves ? strip_.minimum[here][0][0] + chain : nullptr,
              .chains = chains_[0][chain / Rows::kGroups]};
    if constexpr (Rows::kPairs) {
      u.rows += (quad * kQuadUnits + number) * kPairBytes;
      u.row_scales += quad * 2 * kLanes + chain / 2 * kLanes;
      u.row_sums += quad * 2 * kHalves * kLanes + chain / 2 * kLanes;
    } else {
      const int64_t group = (p_.a.order.quads * chain + quad) * kLanes;
      u.columns += chain % 2 * kGroup + half * 16;
      u.rows += group * kGroup + half * 16 * kLanes;
      u.row_scales += group;
      u.row_sums += group * kHalves;
    }
    return u;
  }
  /// Numbers of A, one a lane, from a tile to the next, and from the first half to the second.
  int64_t tile_numbers() const { return p_.a.order.quads * kQuadGroups * kLanes; }
  static constexpr int64_t kHalfNumbers = (Rows::kPairs ? 2 : 1) * kLanes;

  /// Multiplies a body's pairs of tiles, or none, and scales what was multiplied before. Calls
  /// `finish` when scales of the body's first product are about to be needed.
  template <bool kMultiplies, class Finish>
  [[gnu::always_inline]] void add_body(const Body& body, const Finish& finish) {
    turns_from<kMultiplies, 0>(body, finish);
    older_ = last_.unit[kBodyUnits - 1];
    last_ = body;
  }
  template <bool kMultiplies, int kAt, class Finish>
  [[gnu::always_inline]] void turns_from(const Body& body, const Finish& finish) {
    turn<kMultiplies, kAt>(body);
    if constexpr (kAt == kFinishTurn) finish();
    if constexpr (kAt + 1 < kBodyTurns) turns_from<kMultiplies, kAt + 1>(body, finish);
  }
  /// As TileFlow's: integers are stored when their tile is needed again, and scaled the turn after.
  template <bool kMultiplies, int kAt>
  [[gnu::always_inline]] void turn(const Body& body) {
    constexpr int64_t kTurn = kAt % kUnitTurns;
    constexpr int64_t kTile = kTurn / Rows::kTilesOfColumns;  // of A
    constexpr int64_t kTileOfColumns = kTurn % Rows::kTilesOfColumns;
    constexpr int kDots = kAt % kDotTilesUsed;
    constexpr int kTileB = 4 + (Rows::kTilesOfColumns == 2 ? kTileOfColumns : kAt / kUnitTurns) % 2;
    constexpr int kTileA = 6 + kAt / Rows::kTilesOfColumns % 2;
    constexpr int kScaled = kAt - 1 - kDotTilesUsed;  // counted from the start of this body
    constexpr int kScaledTurn = (kScaled + 2 * kBodyTurns) % kBodyTurns;
    constexpr int64_t kRowsNow =
        (kTurn + 1) * kUnitRows / kUnitTurns - kTurn * kUnitRows / kUnitTurns;
    const Unit unit = body.unit[kAt / kUnitTurns];
    const Unit done = kScaled >= 0             ? body.unit[kScaledTurn / kUnitTurns]
                      : kScaled >= -kBodyTurns ? last_.unit[kScaledTurn / kUnitTurns]
                                               : older_;
    const int32_t* const before = dots_[(kAt + 1) % kSlots];
    const auto scale = [&](auto part) __attribute__((always_inline)) {
      add_scaled<kScaledTurn>(done, before, part);
    };
    if constexpr (kMultiplies && kTile == 0) {
      constexpr int64_t kStride = Strip<Format, kColumns>::kColumnBytes;
      simd::CORRAL_ISA::load_tile<kTileB>(unit.columns + kTileOfColumns * kTileColumns * kStride,
                                          kStride);
    }
    scale(std::integral_constant<int64_t, 0>());
    if constexpr (kMultiplies && kTileOfColumns == 0) {
      simd::CORRAL_ISA::load_tile<kTileA>(unit.rows + kTile * tile_numbers() * kGroup, kLanes * 4);
    }
    scale(std::integral_constant<int64_t, 1>());
    simd::CORRAL_ISA::store_tile<kDots>(dots_[kAt % kSlots], kLanes * 4);
    scale(std::integral_constant<int64_t, 2>());
    if constexpr (kMultiplies) {
      simd::CORRAL_ISA::zero_tile<kDots>();
      simd::CORRAL_ISA::add_products_of_bytes<kDots, kTileB, kTileA, T::kSigned>();
    }
    scale(std::integral_constant<int64_t, 3>());
    if constexpr (kMultiplies) unpack_slice<kRowsNow>();
  }
  template <int kTurn, class Part>
  [[gnu::always_inline]] void add_scaled(const Unit& unit, const int32_t* dots, Part) const {
    if (unit.chains == nullptr) return;
    constexpr int64_t kTile = kTurn % kUnitTurns / Rows::kTilesOfColumns;
    constexpr int64_t kFirst = kTurn % kUnitTurns % Rows::kTilesOfColumns * kTileColumns;
    const F32 rows = simd::CORRAL_ISA::load(unit.row_scales + kTile * tile_numbers());
    [[maybe_unused]] F32 sums_of_rows[size_t{kHalves}] = {};
    if constexpr (T::kMinimum) {
      const float* const sums = unit.row_sums + kTile * tile_numbers() * kHalves;
      for (int64_t half = 0; half < kHalves; ++half) {
        sums_of_rows[half] = simd::CORRAL_ISA::load(sums + half * kHalfNumbers);
      }
    }
    float* const chains = unit.chains[kFirst] + kTile * kTileChains;
#pragma GCC unroll 4
    for (int64_t i = Part::value * kPart; i < (Part::value + 1) * kPart; ++i) {
      F32 sum = simd::CORRAL_ISA::load(chains + i * kLanes);
      const auto dot = simd::CORRAL_ISA::load<I32>(dots + i * kLanes);
      sum = simd::CORRAL_ISA::fma(__builtin_convertvector(dot, F32),
                                  spread_groups(unit.scales + (kFirst + i) * kQuadGroups) * rows,
                                  sum);
      if constexpr (T::kMinimum) {
        if (unit.minima != nullptr) {
#pragma GCC unroll 2
          for (int64_t half = 0; half < kHalves; ++half) {
            const int64_t column = half * kColumns + kFirst + i;
            sum = simd::CORRAL_ISA::fma(spread_groups(unit.minima + column * kQuadGroups),
                                        sums_of_rows[half], sum);
          }
        }
      }
      simd::CORRAL_ISA::store(chains + i * kLanes, sum);
    }
  }
  /// A column's number for each lane.
  [[gnu::always_inline]] static F32 spread_groups(const float* of_column) {
    if constexpr (!Rows::kPairs) return simd::CORRAL_ISA::set1(*of_column);
    double both;
    std::memcpy(&both, of_column, sizeof(both));
    return reinterpret_cast<F32>(_mm512_set1_pd(both));
  }

  // What becomes of the sums.

  /// Brings the totals to C.
  void store(int64_t col) const {
    float totals[kLanes][kTileColumns];
    for (int64_t tile = 0; tile < Rows::kTiles; ++tile) {
      const int64_t row = tile * Rows::kTileRows;
      const int64_t rows = simd::CORRAL_ISA::min(Rows::kTileRows, p_.m - row);
      for (int64_t c = 0; c < kColumns && col + c < p_.n; c += kTileColumns) {
        add_chains(tile, c, totals);
        const int64_t columns = simd::CORRAL_ISA::min(kTileColumns, p_.n - col - c);
        float* const to = p_.c + row * p_.c_row_stride + (col + c) * p_.c_col_stride;
        for (int64_t i = 0; i < rows; ++i) {
          store_row(totals[i], columns, to + i * p_.c_row_stride);
        }
      }
    }
  }
  void store_row(const float* totals, int64_t columns, float* to) const {
    if (p_.c_col_stride == 1 && columns == kTileColumns && !p_.accumulate) {
      std::memcpy(to, totals, sizeof(float) * kTileColumns);
      return;
    }
    for (int64_t j = 0; j < columns; ++j) {
      float& at = to[j * p_.c_col_stride];
      at = p_.accumulate ? at + totals[j] : totals[j];
    }
  }
  /// The sums of the chains of 16 columns from c on, row by row.
  void add_chains(int64_t tile, int64_t c, float (&totals)[kLanes][kTileColumns]) const {
    const auto vector = [&](int64_t v, int64_t col) {
      return simd::CORRAL_ISA::load(chains_[tile][v][c + col]);
    };
    Bytes columns[16] = {};
    for (int64_t i = 0; i < kTileColumns / Rows::kGroups; ++i) {
      F32 chain[kQuadGroups];
      if constexpr (Rows::kPairs) {
        // The rows of column i and those of column i + 8.
        for (int64_t v = 0; v < 2; ++v) {
          const F32 a = vector(v, i);
          const F32 b = vector(v, i + 8);
          chain[2 * v] = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22,
                                                 24, 26, 28, 30);
          chain[2 * v + 1] = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21,
                                                     23, 25, 27, 29, 31);
        }
      } else {
        for (int64_t v = 0; v < kQuadGroups; ++v) chain[v] = vector(v, i);
      }
      const F32 sum = ((chain[0] + chain[1]) + chain[2]) + chain[3];
      columns[i] = {{reinterpret_cast<U8>(sum)}};
    }
    Bytes lanes[16];
    transpose_sixteen(columns, lanes);
    for (int64_t i = 0; i < Rows::kTileRows; ++i) {
      store64(totals[i], lanes[i]);
      if constexpr (Rows::kPairs) std::memcpy(totals[i] + 8, &lanes[i + 8], 8 * sizeof(float));
    }
  }

  static constexpr int64_t kTileChains = kQuadGroups / Rows::kGroups * kColumns * kLanes;

  const BlockPiece& p_;
  const int64_t steps_;
  const int64_t strip_bytes_;
  Strip<Format, kColumns>& strip_;
  float (&chains_)[Rows::kTiles][kQuadGroups / Rows::kGroups][size_t{kColumns}][kLanes];
  int32_t (&dots_)[kSlots][kSlotNumbers];
  const std::byte* starts_[size_t{kColumns}];      // of the rows that are unpacked
  const std::byte* multiplied_[size_t{kColumns}];  // of those that are multiplied
  const std::byte* rows_[size_t{kColumns}];        // at the step that is unpacked next
  int64_t unpacked_ = 0;                           // rows of it, once for each of its quads
  int64_t next_quad_ = 0;                          // its place in the strip
  Body last_ = {};
  Unit older_ = {};  // the last of the body before
};

// Tiles of rows of A for which strips are faster than panels.
constexpr int64_t kMostStripTiles = 4;

/// Whether K is whole steps, as a strip needs it.
template <class Format>
constexpr bool is_whole_steps(int64_t groups) {
  return groups > 0 && groups % (kQuadGroups * Format::kStepQuads) == 0;
}

template <class Format, class Rows>
void multiply_strips(const BlockPiece& p, std::byte* scratch) {
  using Product = StripProduct<Format, Rows>;
  static_assert(alignof(typename Product::Scratch) <= 64);
  Product(p, *reinterpret_cast<typename Product::Scratch*>(scratch)).run();
}
using OneTile = StripRows<false, 1>;
using TwoTiles = StripRows<false, 2>;
using ThreeTiles = StripRows<false, 3>;
using FourTiles = StripRows<false, 4>;
using Pairs = StripRows<true, 1>;

/// Enough for any but pairs.
template <class Format>
union StripScratch {
  typename StripProduct<Format, OneTile>::Scratch one;
  typename StripProduct<Format, TwoTiles>::Scratch two;
  typename StripProduct<Format, ThreeTiles>::Scratch three;
  typename StripProduct<Format, FourTiles>::Scratch four;
};

/// Products of up to four tiles of rows of A, of which K is whole steps.
template <class Format>
void multiply_strips(const BlockPiece& p, std::byte* scratch) {
  switch (p.a.order.tiles()) {
    case 1:
      return multiply_strips<Format, OneTile>(p, scratch);
    case 2:
      return multiply_strips<Format, TwoTiles>(p, scratch);
    case 3:
      return multiply_strips<Format, ThreeTiles>(p, scratch);
    default:
      return multiply_strips<Format, FourTiles>(p, scratch);
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
