#pragma once

#include <array>
#include <cstdint>

#include "quant/scale_search.h"

namespace corral::quant {

// Blocks of 256 values in groups, where the scales of the groups are small integers times a scale
// of the block. Each group is fitted on its own first; then the block's scale is taken from the
// largest, the integers around the wanted one are all tried, and the block's scale is fitted once
// more to what was chosen.

inline constexpr int64_t kBlockValues = 256;

/// A block of scale * integer[g] * q.
struct ScaledBlock {
  uint16_t scale;                      // f16
  std::array<int, 16> integer;         // of each group, in [lowest, -lowest)
  std::array<int, kBlockValues> code;  // q, or for a table the index of q
};

/// Integers are in [lowest, -lowest); lowest < 0.
ScaledBlock fit_scaled_block(const BlockValues& values, int64_t group_values, int lowest,
                             const CodeSet& codes);

/// A block of scale * integer[g] * code - offset_scale * offset[g].
struct OffsetBlock {
  uint16_t scale;         // f16
  uint16_t offset_scale;  // f16
  std::array<int, 16> integer;
  std::array<int, 16> offset;
  std::array<int, kBlockValues> code;
};

/// Integers and offsets are in [0, most], codes in [0, hi].
OffsetBlock fit_offset_block(const BlockValues& values, int64_t group_values, int most, int hi);

}  // namespace corral::quant
