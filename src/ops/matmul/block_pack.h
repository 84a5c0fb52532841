#pragma once

// Unpacks B into panels. For *_isa.cc files.

#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_walk.h"
#if defined(CORRAL_TILES)
#include "ops/matmul/block_pack_amx.h"
#else
#include "ops/matmul/block_pack_words.h"
#endif

namespace corral::ops::CORRAL_ISA {
namespace {

constexpr int64_t kQuadsInCache = 6;
#if defined(CORRAL_TILES)
constexpr bool kFetches = false;  // nobody has measured it there
#else
constexpr bool kFetches = true;
#endif

/// Asks for a step of sixteen rows of B, which are in the second cache, in the first.
template <class Format>
inline void fetch_step(const BlockPiece& p, int64_t col, int64_t step) {
  const std::byte* at = p.b + col * p.b_row_bytes + step * Format::kStepBytes;
#pragma GCC unroll 1
  for (int row = 0; row < 16; ++row) {
#pragma GCC unroll 4
    for (int line = 0; line < Format::kStepBytes; line += 64) {
      __builtin_prefetch(at + line, 0, 3);
    }
    at += p.b_row_bytes;
  }
}

/// Unpacks `quads` quads, from the quad `first` on, of the rows of B from col + c to col + end as
/// columns c to end - 1 of the panel: a step of all rows after the other, so that what is written
/// lies together. Caches take lines that are neighbours faster than every second one.
template <class Format>
inline void pack_steps(Panel panel, const BlockPiece& p, int64_t col, int64_t c, int64_t end,
                       int64_t first, int64_t quads) {
  constexpr int64_t kSteps = Format::kStepQuads;
  const int64_t last =
      simd::CORRAL_ISA::min((first + quads) / kSteps, p.groups / (kQuadGroups * kSteps));
  for (int64_t step = first / kSteps; step < last; ++step) {
    int64_t four = c;
#if defined(__AVX2__)
    for (; four + 16 <= end; four += 16) {
      if (kFetches && step + 2 < last) fetch_step<Format>(p, col + four, step + 2);
      pack_sixteen<Format>(panel, p, col, four, first, step);
    }
#endif
    for (; four < end; four += kRowsB) pack_four<Format>(panel, p, col, four, first, step);
  }
}

/// Scales of zero for the columns of the panel from `first` on, which have no row of B: what
/// happens to lie there may be numbers too small for the processor to multiply fast.
template <class Format>
void clear_columns(const Panel& panel, int64_t first) {
  for (int64_t i = 0; i < panel.quads * kQuadGroups * int64_t{Format::kHalves}; ++i) {
    for (int64_t col = first; col < kPanelColumns; ++col) {
      panel.scale[i * kPanelColumns + col] = 0;
      if constexpr (Format::kMinimum) panel.minimum[i * kPanelColumns + col] = 0;
    }
  }
}

/// Unpacks `quads` quads, from the quad `first` on, of the rows of B from `col`.
template <class Format>
CORRAL_FLATTEN void pack(const Panel& panel, const BlockPiece& p, int64_t col, int64_t first,
                         int64_t quads) {
  const int64_t columns = simd::CORRAL_ISA::min(kPanelColumns, p.n - col);
  // Of a panel that fits into the level-1 cache, some rows after the others: a stream for each.
  const int64_t each = panel.quads > kQuadsInCache ? kPanelColumns : 16;
  for (int64_t c = 0; c < columns; c += each) {
    pack_steps<Format>(panel, p, col, c, simd::CORRAL_ISA::min(c + each, columns), first, quads);
  }
  if constexpr (Format::kStepQuads == 1) {
    // Groups behind the whole quads.
    const int64_t whole = p.groups / kQuadGroups * kQuadGroups;
    const int64_t end = simd::CORRAL_ISA::min(p.groups, (first + quads) * kQuadGroups);
    for (int64_t g = simd::CORRAL_ISA::max(whole, first * kQuadGroups); g < end; ++g) {
      for (int64_t c = 0; c < columns; c += kRowsB) {
        const std::byte* blocks[kRowsB];
        RowWalk<Format>(p, col + c).blocks(g, blocks);
        pack_group<Format>(panel, panel.group(g % kQuadGroups, g / kQuadGroups - first), c, blocks);
      }
    }
  }
  if (columns < kPanelColumns) clear_columns<Format>(panel, columns);
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
