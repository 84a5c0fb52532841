#pragma once

// Some rows of B on their way through the tiles of AMX, a few groups at a time. For *_amx.cc files.

#include <type_traits>

#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_whole.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Numbers in f16 are copied as they come, without the vector units, and become floats later, when
/// what was stored can be loaded in vectors.
template <class Format>
constexpr bool kScalesInF16 = std::is_base_of_v<HalfScales<Format>, Format>;

/// The numbers at kAt of four blocks of a row.
template <class Format, int kAt>
inline uint64_t four_halves(const std::byte* row) {
  const auto of = [&](int64_t g) -> uint64_t {
    return load_word<uint16_t>(row + g * Format::kBlockBytes + kAt);
  };
  return of(0) | of(1) << 16 | of(2) << 32 | of(3) << 48;
}

/// Two steps of kPanelColumns rows of B, which are columns here. Small enough for the level-1
/// cache.
template <class Format>
struct Strip {
  static constexpr size_t kQuads = 2 * Format::kStepQuads;
  static constexpr size_t kHalves = Format::kHalves;
  static constexpr size_t kColumnBytes = 2 * kGroup;
  using Numbers = float[kHalves][size_t{kPanelColumns}][kQuadGroups];

  // Two groups side by side.
  alignas(64) std::byte bytes[kQuads][2][size_t{kPanelColumns}][kColumnBytes];
  Numbers scale[kQuads];
  Numbers minimum[kQuads];
  uint64_t f16[2][kQuads][size_t{kPanelColumns}];  // scales and minima

  /// Unpacks part `part` of the step at `at` as a column of a quad; of scales only those in f16.
  [[gnu::always_inline]] void unpack(int64_t quad, int64_t col, const std::byte* at, int part) {
    const Codes groups = whole_groups<Format>(at, part);
    store64(bytes[quad][0][col], tile_bytes<Format>(groups.first));
    store64(bytes[quad][1][col], tile_bytes<Format>(groups.last));
    if constexpr (kScalesInF16<Format>) {
      f16[0][quad][col] = four_halves<Format, 0>(at);
      if constexpr (Format::kMinimum) f16[1][quad][col] = four_halves<Format, 2>(at);
    }
  }
  /// Makes floats of the scales in f16 of a quad.
  void finish_f16(int64_t quad) {
    if constexpr (kScalesInF16<Format>) {
      for (int64_t col = 0; col < kPanelColumns; col += 4) {
        store64(scale[quad][0][col], floats_of(f16[0][quad] + col));
        if constexpr (Format::kMinimum) {
          store64(minimum[quad][0][col], negative(floats_of(f16[1][quad] + col)));
        }
      }
    }
  }
  /// The other scales of a quad, from a step of each row.
  void unpack_scales(int64_t quad, const std::byte* const (&rows)[kPanelColumns], int part) {
    if constexpr (Format::kStepQuads == 1) {
      for (int64_t col = 0; col < kPanelColumns; col += kRowsB) {
        store64(scale[quad][0][col], transposed(Format::scales(rows + col, part).scale[0]));
      }
    } else {
      for (int64_t col = 0; col < kPanelColumns; col += 16) {
        // In this order element 4i + k is of column 4k + i, as store_columns takes it.
        const auto all = Format::scales(SixteenRows{rows + col}, part);
        for (size_t half = 0; half < kHalves; ++half) {
          store_columns(all.scale[half], scale[quad][half] + col);
          if constexpr (Format::kMinimum) {
            store_columns(all.minimum[half], minimum[quad][half] + col);
          }
        }
      }
    }
  }

 private:
  static void store_columns(const GroupFloats& all, float (*to)[kQuadGroups]) {
    const auto bytes = [&](int g) -> Bytes {
      return {{reinterpret_cast<U8>(all.group[g].part[0])}};
    };
    Bytes columns[4];
    transpose_words(bytes(0), bytes(1), bytes(2), bytes(3), columns);
    for (int64_t k = 0; k < 4; ++k) store64(to + 4 * k, columns[k]);
  }
  static Floats floats_of(const uint64_t* columns) {
    return {{reinterpret_cast<F32>(
        _mm512_maskz_cvtph_ps(0xFFFF, simd::CORRAL_ISA::load<__m256i>(columns)))}};
  }
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
