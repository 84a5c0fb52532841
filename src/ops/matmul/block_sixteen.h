#pragma once

// The scales of sixteen rows of B in a panel, unpacked in whole vectors. For *_isa.cc files with
// AVX-512.

#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_scales.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// A step of sixteen rows of B.
template <class Format>
struct SixteenSteps {
  const std::byte* at[16];        // the rows j, j + 4, j + 8 and j + 12 side by side
  const std::byte* in_order[16];  // the same as they come

  SixteenSteps(const std::byte* first, int64_t row_bytes) {
    for (int64_t j = 0; j < 16; ++j) at[j / 4 + j % 4 * 4] = first + j * row_bytes;
    for (int64_t j = 0; j < 16; ++j) in_order[j] = first + j * row_bytes;
  }

  /// The scales of part `part` of the step, as quad `quad` of the panel's columns from `col` on,
  /// for codes unpacked by GroupWord or, if Rows is SixteenRowsOfFields, by GroupsOfRow.
  template <class Rows = SixteenRows>
  void pack_scales(const Panel& panel, int64_t quad, int64_t col, int part) const {
    constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
    const int64_t stride = panel.quads * kHalves * kPanelColumns;
    const auto all = scales<Rows>(part);
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
  }

 private:
  template <class Rows>
  ScalesOf<Format::kHalves, GroupFloats> scales(int part) const {
    if constexpr (Format::kStepQuads == 2) {
      return Format::scales(Rows{at}, part);
    } else {
      const auto four = [&](int i) { return Format::scales(in_order + 4 * i, part); };
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
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
