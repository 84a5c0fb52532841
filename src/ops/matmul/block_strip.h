#pragma once

// Some rows of B on their way through the tiles of AMX, a step at a time. For *_amx.cc files.

#include <type_traits>

#include "ops/matmul/block_panel.h"
#include "ops/matmul/block_six_bit.h"
#include "ops/matmul/block_whole.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Whether scales are numbers in f16 at the start of each block.
template <class Format>
constexpr bool kScalesInF16 = std::is_base_of_v<HalfScales<Format>, Format>;

/// Where the f16 numbers at kAt of four blocks are among the 64 bytes at kBase: two bytes each, of
/// the groups from kFirst on, again for each of four rows.
template <int kStride, int kAt, int kBase, int kFirst>
struct HalvesOfBlocks {
  alignas(64) uint8_t index[64] = {};

  constexpr HalvesOfBlocks() {
    for (int i = 0; i < 64; ++i) {
      const int group = i % 8 / 2;
      if (group >= kFirst) {
        index[i] = static_cast<uint8_t>(kAt + group * kStride - kBase + i % 2);
      }
    }
  }
};
template <int kStride, int kAt, int kBase, int kFirst>
constexpr HalvesOfBlocks<kStride, kAt, kBase, kFirst> kHalvesOfBlocks;

/// The numbers at kAt of four blocks of each of four rows, a row after the other.
template <class Format, int kAt>
inline Floats halves_row_by_row(const std::byte* const* rows) {
  constexpr int kStride = Format::kBlockBytes;
  constexpr int kEnd = 4 * kStride - 64;
  constexpr int kBase = kEnd < 2 * kStride ? kEnd : 2 * kStride;
  constexpr bool kOneLoad = 3 * kStride + kAt + 2 <= 64;
  const auto put = [&](__m512i to, int row, uint64_t mask, const auto& order, int base) {
    return _mm512_mask_permutexvar_epi8(to, mask << (8 * row),
                                        simd::CORRAL_ISA::load<__m512i>(order.index),
                                        simd::CORRAL_ISA::load<__m512i>(rows[row] + base));
  };
  __m512i all = {};
#pragma GCC unroll 4
  for (int row = 0; row < 4; ++row) {
    all = put(all, row, kOneLoad ? 0xFF : 0x0F, kHalvesOfBlocks<kStride, kAt, 0, 0>, 0);
    if constexpr (!kOneLoad) {
      all = put(all, row, 0xF0, kHalvesOfBlocks<kStride, kAt, kBase, 2>, kBase);
    }
  }
  const __m256i first = _mm512_maskz_extracti64x4_epi64(0xF, all, 0);
  return {{reinterpret_cast<F32>(_mm512_maskz_cvtph_ps(0xFFFF, first))}};
}

/// Two steps of kColumns rows of B, which are columns here.
template <class Format, int64_t kColumns>
struct Strip {
  static constexpr size_t kQuads = 2 * Format::kStepQuads;
  static constexpr size_t kHalves = Format::kHalves;
  static constexpr size_t kColumnBytes = 2 * kGroup;
  using Numbers = float[kHalves][size_t{kColumns}][kQuadGroups];

  // Two groups side by side.
  alignas(64) std::byte bytes[kQuads][2][size_t{kColumns}][kColumnBytes];
  Numbers scale[kQuads];
  Numbers minimum[kQuads];

  /// Unpacks part `part` of the step at `at` as a column of a quad, but for its scales.
  [[gnu::always_inline]] void unpack(int64_t quad, int64_t col, const std::byte* at, int part) {
    const Codes groups = whole_groups<Format>(at, part);
    store64(bytes[quad][0][col], tile_bytes<Format>(groups.first));
    store64(bytes[quad][1][col], tile_bytes<Format>(groups.last));
  }
  /// The scales of the quads of a step, the first of which is `quad`, from the step of each row.
  void unpack_scales(int64_t quad, const std::byte* const (&rows)[size_t{kColumns}]) {
    if constexpr (kSixBits<Format>) {
      for (int64_t col = 0; col < kColumns; col += kRowsB) {
        const SixBitScales all(rows + col);
        for (int64_t part = 0; part < Format::kStepQuads; ++part) {
          store64(scale[quad + part][0][col], all.scale[part]);
          store64(minimum[quad + part][0][col], all.minimum[part]);
        }
      }
    } else {
      for (int part = 0; part < Format::kStepQuads; ++part) unpack_scales(quad + part, rows, part);
    }
  }

 private:
  void unpack_scales(int64_t quad, const std::byte* const (&rows)[size_t{kColumns}], int part) {
    if constexpr (kScalesInF16<Format>) {
      for (int64_t col = 0; col < kColumns; col += kRowsB) {
        store64(scale[quad][0][col], halves_row_by_row<Format, 0>(rows + col));
        if constexpr (Format::kMinimum) {
          store64(minimum[quad][0][col], negative(halves_row_by_row<Format, 2>(rows + col)));
        }
      }
    } else if constexpr (Format::kStepQuads == 1) {
      for (int64_t col = 0; col < kColumns; col += kRowsB) {
        store64(scale[quad][0][col], transposed(Format::scales(rows + col, part).scale[0]));
      }
    } else {
      for (int64_t col = 0; col < kColumns; col += 16) {
        const auto all = Format::scales(SixteenRows<ByTurns>{ByTurns{rows + col}}, part);
        for (size_t half = 0; half < kHalves; ++half) {
          store_columns(all.scale[half], scale[quad][half] + col);
          if constexpr (Format::kMinimum) {
            store_columns(all.minimum[half], minimum[quad][half] + col);
          }
        }
      }
    }
  }

  /// Columns in the order in which store_columns takes them: element 4i + k is of column 4k + i.
  struct ByTurns {
    RowsAt rows;
    const std::byte* operator[](int i) const { return rows[i / 4 + i % 4 * 4]; }
  };
  static void store_columns(const GroupFloats& all, float (*to)[kQuadGroups]) {
    const auto bytes = [&](int g) -> Bytes {
      return {{reinterpret_cast<U8>(all.group[g].part[0])}};
    };
    Bytes columns[4];
    transpose_words(bytes(0), bytes(1), bytes(2), bytes(3), columns);
    for (int64_t k = 0; k < 4; ++k) store64(to + 4 * k, columns[k]);
  }
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
