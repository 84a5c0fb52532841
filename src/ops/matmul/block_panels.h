#pragma once

// Products of many rows of A: B is unpacked into panels that stay in the caches while all rows
// of A pass by. For *_isa.cc files.

#include "ops/matmul/block_pack.h"
#if defined(CORRAL_TILES)
#include "ops/matmul/block_strips_amx.h"
#else
#include "ops/matmul/block_tile.h"
#endif

namespace corral::ops::CORRAL_ISA {
namespace {

// Rows of A of a block: their chains take 256 KiB at 32 columns. With AMX they have to stay in the
// level-2 cache, as tiles pass by faster than they come from further away; elsewhere that does not
// pay, since B is unpacked for each block.
constexpr int64_t kBlockRows = 512;
#if defined(CORRAL_TILES)
constexpr int64_t kBlockBytes = 5 << 18;
#else
constexpr int64_t kBlockBytes = int64_t{1} << 62;
#endif

/// Quads of a panel: as nearly the same for all of K as can be, in whole steps of the format.
template <class Format>
int64_t panel_quads(int64_t quads) {
  const int64_t each = parts_of(quads, simd::CORRAL_ISA::max(1, parts_of(quads, kPanelQuads)));
  return parts_of(each, Format::kStepQuads) * Format::kStepQuads;
}

/// Rows of A of a tile.
template <class Format>
constexpr auto kMostTileRows = static_cast<int64_t>(kTileRowsOf<Format::kHalves>);

/// Tiles of a block, of the last one too.
template <class Format>
int64_t block_tiles(int64_t tiles, int64_t quads) {
  const int64_t rows =
      simd::CORRAL_ISA::min(kBlockRows, kBlockBytes / simd::CORRAL_ISA::max(1, quads * kQuad));
  return parts_of(tiles, parts_of(tiles, rows / kMostTileRows<Format> + 1));
}

/// Rows of A that have places in a block.
template <class Format>
int64_t block_rows(int64_t tiles, int64_t quads) {
  return block_tiles<Format>(tiles, quads) * kMostTileRows<Format>;
}

template <class Format>
int64_t panel_scratch_bytes(int64_t m, int64_t quads) {
  const int64_t bytes = Panel::scratch_bytes(
      block_rows<Format>(parts_of(m, kMostTileRows<Format>), quads), panel_quads<Format>(quads));
#if defined(CORRAL_TILES)
  return simd::CORRAL_ISA::max(bytes, static_cast<int64_t>(sizeof(StripScratch<Format>)));
#else
  return bytes;
#endif
}

/// Some rows of A, in whole tiles, and columns of B.
struct Block {
  Tiles tiles;
  int64_t col;
};

/// B as rows of blocks, which are unpacked into a panel.
template <class Format>
struct UnpackedRows {
  using Traits = TraitsOf<Format>;

  /// The panel of so many quads, from the quad `first` on, of the columns from `col`.
  static void bring(Panel& panel, const BlockPiece& p, int64_t col, int64_t first, int64_t quads) {
    pack<Format>(panel, p, col, first, quads);
  }
  /// What it is made of.
  static Lines lines(const BlockPiece& p, int64_t col, int64_t first, int64_t quads) {
    const auto bytes_of = [](int64_t n) { return n / Format::kStepQuads * Format::kStepBytes; };
    const std::byte* at = p.b + col * p.b_row_bytes + bytes_of(first);
    return {.at = reinterpret_cast<const char*>(at),
            .rows = kPanelColumns,
            .stride_bytes = p.b_row_bytes,
            .lines_each = bytes_of(quads) / kLineBytes + 1};
  }
};

/// A product with B in panels, which are what `Source` makes of it.
template <class Format, class Source = UnpackedRows<Format>>
class PanelProduct {
 public:
  using T = typename Source::Traits;

  PanelProduct(const BlockPiece& p, std::byte* scratch)
      : p_(p),
        panel_(scratch, block_rows<Format>(p.a.order.tiles(), p.quads()),
               panel_quads<Format>(p.quads())) {}

  void run() const {
    const int64_t tiles = p_.a.order.tiles();
    const int64_t each = block_tiles<Format>(tiles, p_.quads());
    for (int64_t tile = 0; tile < tiles; tile += each) {
      for (int64_t col = 0; col < p_.n; col += kPanelColumns) {
        add_block({{tile, simd::CORRAL_ISA::min(tile + each, tiles)}, col});
      }
    }
  }

 private:
  void add_block(const Block& block) const {
    int64_t first = 0;
    do {  // once for sums of nothing, too
      Panel panel = panel_;
      Source::bring(panel, p_, block.col, first, quads_from(first));
      add_panel(panel, block, first);
      first += panel_.quads;
    } while (first < p_.quads());
    if (!fits_in_c(block.col)) store(block);
  }

  /// Quads of the panel that begins there.
  int64_t quads_from(int64_t first) const {
    return simd::CORRAL_ISA::min(panel_.quads, p_.quads() - first);
  }

  /// True when sums can be written to C as they come.
  bool fits_in_c(int64_t col) const {
    return p_.c_col_stride == 1 && col + kPanelColumns <= p_.n && !p_.accumulate;
  }

  /// The groups of the panel that begins at the quad `first`; asks for the next panel meanwhile,
  /// unless the processor will find its rows by itself.
  void add_panel(const Panel& panel, const Block& block, int64_t first) const {
    const int64_t quads = quads_from(first);
    const Lines next = next_panel(block, first + quads);
    Ahead ahead;
    if (next.lines_each <= kMostLinesAhead) ahead.add(next);
    ahead.spread_over((block.tiles.end - block.tiles.first) * quads * kQuadGroups);
    // As many chains at a time as fit into the level-1 cache.
    int64_t chains = kQuadGroups;
    while (kCutsChains && chains > 1 && chains * quads > kPanelQuads) chains /= 2;
    for (int64_t chain = 0; chain < kQuadGroups; chain += chains) {
      const Run run = {
          .chain = chain,
          .end_chain = chain + chains,
          .groups = simd::CORRAL_ISA::min(quads * kQuadGroups, p_.groups - first * kQuadGroups),
          .first = first,
          .starts = first == 0,
          .ends = first + quads == p_.quads()};
      add_tiles<T>(panel, p_.a, block.tiles, run, totals_of(block), ahead);
    }
  }

  Totals totals_of(const Block& block) const {
    if (!fits_in_c(block.col)) return {nullptr, 0};
    const int64_t row = p_.a.order.first_row(block.tiles.first);
    return {p_.c + row * p_.c_row_stride + block.col, p_.c_row_stride};
  }

  /// Where the panel from the quad `next` on lies: further along in the same rows of B or, at
  /// their end, at the start of the rows behind them, be they of another piece, or of the first
  /// ones again.
  Lines next_panel(const Block& block, int64_t next) const {
    int64_t col = block.col;
    if (next >= p_.quads()) {
      next = 0;
      col += kPanelColumns;
      if (col >= p_.n && block.tiles.end < p_.a.order.tiles()) col = 0;
    }
    return Source::lines(p_, col, next, quads_from(next));
  }

  /// Brings sums to C that did not fit.
  void store(const Block& block) const {
    const int64_t columns = simd::CORRAL_ISA::min(kPanelColumns, p_.n - block.col);
    const int64_t row = p_.a.order.first_row(block.tiles.first);
    const int64_t rows = p_.a.order.first_row(block.tiles.end) - row;
    for (int64_t i = 0; i < rows; ++i) {
      float* c = p_.c + (row + i) * p_.c_row_stride + block.col * p_.c_col_stride;
      for (int64_t j = 0; j < columns; ++j) {
        float& to = c[j * p_.c_col_stride];
        const float total = kept_total(panel_, i, j);
        to = p_.accumulate ? to + total : total;
      }
    }
  }

  const BlockPiece& p_;
  Panel panel_;
};

template <class Format>
void panels(const BlockPiece& p, std::byte* scratch) {
  const TileUnit<kGroup / int64_t{Format::kHalves}> unit;
#if defined(CORRAL_TILES)
  if (is_whole_steps<Format>(p.groups) && p.a.order.tiles() <= kMostStripTiles) {
    return multiply_strips<Format>(p, scratch);
  }
#endif
  PanelProduct<Format>(p, scratch).run();
}

template <class Format>
constexpr BlockPanels panels_of() {
  return {.form = kTileForm,
          .tile_rows = kMostTileRows<Format>,
          .quad_bytes = kQuad,
          .multiply = panels<Format>,
          .scratch_bytes = panel_scratch_bytes<Format>,
          .arrange = arrange_rows};
}

#if defined(CORRAL_TILES)

/// A few rows of A, two groups of each at a time.
template <class Format>
void pairs(const BlockPiece& p, std::byte* scratch) {
  const TileUnit<2 * kGroup> unit;
  multiply_strips<Format, Pairs>(p, scratch);
}

template <class Format>
constexpr TileKernels tile_kernels_of() {
  return {.panels = panels_of<Format>(),
          .pairs = {.form = RowForm::kPairs,
                    .tile_rows = Pairs::kTileRows,
                    .quad_bytes =
                        2 * static_cast<int64_t>(Format::kHalves) * kPairBytes / Pairs::kTileRows,
                    .multiply = pairs<Format>,
                    .scratch_bytes =
                        [](int64_t, int64_t) {
                          return static_cast<int64_t>(
                              sizeof(typename StripProduct<Format, Pairs>::Scratch));
                        },
                    .arrange = arrange_pairs<Format>},
          .takes_pairs = [](int64_t m, int64_t groups) {
            constexpr int64_t kLeast = Format::kMinimum || Format::kHalves == 2 ? 6 : 5;
            return m >= kLeast && m <= Pairs::kTileRows && is_whole_steps<Format>(groups);
          }};
}

#endif

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
