#pragma once

// Walks rows of B in blocks along K. For *_isa.cc files.

#include "ops/matmul/block_formats.h"
#include "ops/matmul/block_kernel.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// The codes of quad `part` of the step at `at`.
template <class Format>
inline Codes codes_at(const std::byte* at, int part) {
  if constexpr (Format::kStepQuads == 1) {
    return Format::codes(RowBlocks<Format>{at}, part);
  } else {
    return Format::codes(GroupsOfRow{at}, part);
  }
}
/// The scales of the quads `part` of four steps.
template <class Format>
inline auto scales_at(RowsAt at, int part) {
  if constexpr (Format::kStepQuads == 1) {
    return Format::scales(at, part);
  } else {
    return Format::scales(FourRows{at}, part);
  }
}
/// The same of codes in which no fields are left in place.
template <class Format>
inline Scales<Format::kHalves> whole_scales(RowsAt at, int part) {
  if constexpr (Format::kStepQuads == 1) {
    return Format::scales(at, part);
  } else {
    return Format::scales(FourWholeRows(at), part);
  }
}

/// Four rows of B: `col` and those 1, 2 and 3 times `apart` behind it; for one behind the last row
/// of B the last is taken again.
template <class Format>
class RowWalk {
 public:
  RowWalk(const BlockPiece& p, int64_t col, int64_t apart = 1) : groups_(p.groups) {
    for (int64_t j = 0; j < kRowsB; ++j) {
      row_[j] = p.b + simd::CORRAL_ISA::min(col + j * apart, p.n - 1) * p.b_row_bytes;
    }
  }

  /// f(quad, codes, scales) for all whole quads: codes(j) unpacks row j, scales() are those of all
  /// four. Asks for what lies `ahead` bytes
  /// behind what it reads.
  template <class F>
  void whole_quads(int64_t ahead, const F& f) const {
    for (int64_t step = 0; step < steps(); ++step) {
      for (int64_t j = 0; j < kRowsB; ++j) {
        const std::byte* const later = row_of(j, step) + ahead;
#pragma GCC unroll 4
        for (int line = 0; line < Format::kStepBytes; line += 64) {
          __builtin_prefetch(later + line, 0, 3);
        }
      }
      one_step(step, f);
    }
  }

  /// The same for the quads of a step, without asking for others.
  template <class F>
  void one_step(int64_t step, const F& f) const {
    const std::byte* at[kRowsB];
    for (int64_t j = 0; j < kRowsB; ++j) at[j] = row_of(j, step);
#pragma GCC unroll 2
    for (int part = 0; part < Format::kStepQuads; ++part) {
      one_quad(at, step * Format::kStepQuads + part, part, f);
    }
  }

  int64_t steps() const { return groups_ / kStepGroups; }
  /// Step `step` of row j.
  const std::byte* row_of(int64_t j, int64_t step) const {
    return row_[j] + step * Format::kStepBytes;
  }

  /// The block that holds the group `group` of each of the rows. Only for blocks of 32.
  void blocks(int64_t group, const std::byte** at) const {
    for (int64_t j = 0; j < kRowsB; ++j) at[j] = row_[j] + group * Format::kBlockBytes;
  }

 private:
  static constexpr int64_t kStepGroups = kQuadGroups * Format::kStepQuads;

  template <class F>
  static void one_quad(RowsAt at, int64_t quad, int part, const F& f) {
    f(
        quad, [&](size_t j) { return codes_at<Format>(at[j], part); },
        [&] { return scales_at<Format>(at, part); });
  }

  int64_t groups_;
  const std::byte* row_[kRowsB];
};

/// Asks for what is read of the rows two steps later. (Not for what other rows begin with: it would
/// come from memory, and the stores of this panel would wait for it.)
template <class Format>
inline void fetch_later(const RowWalk<Format>& rows, int64_t step) {
  if (step + 2 >= rows.steps()) return;
  for (int64_t j = 0; j < kRowsB; ++j) {
    const std::byte* const at = rows.row_of(j, step + 2);
#pragma GCC unroll 4
    for (int64_t line = 0; line < Format::kStepBytes; line += 64) {
      __builtin_prefetch(at + line, 0, 3);
    }
  }
}

/// f(quad, codes, scales), as above, for the quads of a step of the four rows of B from `col` on.
template <class Format, class F>
inline void each_quad(const BlockPiece& p, int64_t col, int64_t step, const F& f) {
  const RowWalk<Format> rows(p, col);
  fetch_later(rows, step);
  rows.one_step(step, f);
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
