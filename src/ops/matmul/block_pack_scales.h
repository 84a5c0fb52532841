#pragma once

// The scales of rows of B in a panel. For *_isa.cc files.

#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_scales.h"
#include "ops/matmul/block_walk.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// The scales of four rows of a quad of B, as columns col to col + 3 of the panel.
template <class Format>
inline void pack_scales(const Panel& panel, int64_t quad, int64_t col,
                        const Scales<Format::kHalves>& scales) {
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  const int64_t stride = panel.quads * kHalves * kPanelColumns * 4;
  for (int64_t h = 0; h < kHalves; ++h) {
    const int64_t at = (quad * kHalves + h) * kPanelColumns + col;
    store_lanes(reinterpret_cast<std::byte*>(panel.scale + at), stride, scales.scale[h]);
    if constexpr (Format::kMinimum) {
      store_lanes(reinterpret_cast<std::byte*>(panel.minimum + at), stride, scales.minimum[h]);
    }
  }
}

/// Those of a group of four rows, a block of each.
template <class Format>
inline void pack_group_scales(const Panel& panel, int64_t group, int64_t col, RowsAt blocks) {
  const BlockScales scales = Format::block_scales(blocks);
  simd::CORRAL_ISA::store(panel.scale + group * kPanelColumns + col, scales.scale);
  if constexpr (Format::kMinimum) {
    simd::CORRAL_ISA::store(panel.minimum + group * kPanelColumns + col, scales.minimum);
  }
}

#if defined(__AVX2__)

/// A step of sixteen rows of B.
template <class Format>
struct SixteenSteps {
  SixteenRowsAt at;

  /// The scales of part `part` of the step, as quad `quad` of the panel's columns from `col` on.
  void pack_scales(const Panel& panel, int64_t quad, int64_t col, int part) const {
#if defined(__AVX512F__)
    constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
    const int64_t stride = panel.quads * kHalves * kPanelColumns;
    const auto all = scales(part);
    for (int64_t h = 0; h < kHalves; ++h) {
      const int64_t to = (quad * kHalves + h) * kPanelColumns + col;
#pragma GCC unroll 4
      for (int64_t g = 0; g < 4; ++g) {
        store64(panel.scale + to + g * stride, all.scale[h].group[g]);
        if constexpr (Format::kMinimum) {
          store64(panel.minimum + to + g * stride, all.minimum[h].group[g]);
        }
      }
    }
#else
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const std::byte* const rows[4] = {at[4 * i], at[4 * i + 1], at[4 * i + 2], at[4 * i + 3]};
      CORRAL_ISA::pack_scales<Format>(panel, quad, col + 4 * i, whole_scales<Format>(rows, part));
    }
#endif
  }

#if defined(__AVX512F__)
 private:
  ScalesOf<Format::kHalves, GroupFloats> scales(int part) const {
    if constexpr (Format::kStepQuads == 2) {
      return Format::scales(SixteenRows<SixteenRowsAt>{at}, part);
    } else {
      const auto four = [&](int i) {
        const std::byte* const rows[4] = {at[4 * i], at[4 * i + 1], at[4 * i + 2], at[4 * i + 3]};
        return Format::scales(rows, part);
      };
      const Scales<1> rows[4] = {four(0), four(1), four(2), four(3)};
      ScalesOf<1, GroupFloats> all;
      all.scale[0] =
          by_group(rows[0].scale[0], rows[1].scale[0], rows[2].scale[0], rows[3].scale[0]);
      if constexpr (Format::kMinimum) {
        all.minimum[0] = by_group(rows[0].minimum[0], rows[1].minimum[0], rows[2].minimum[0],
                                  rows[3].minimum[0]);
      }
      return all;
    }
  }
#endif
};

#endif

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
