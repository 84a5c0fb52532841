#pragma once

// Rows of B that are interleaved (quant/interleaved.h), for matmul_isa.cc only: tiles read units of
// f32, and pairs of bf16, where they lie.

#include <type_traits>

#include "ops/matmul/matmul_few.h"
#include "ops/matmul/matmul_tile.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// Rows at a time: a tile's.
#if defined(__AVX2__)
constexpr int64_t kInterleaved = kPanelColumns;
#else
constexpr int64_t kInterleaved = 0;
#endif

/// Reads units of interleaved rows.
template <class Math, class E>
class InterleavedReader {
  static constexpr int64_t kPerWord = E::kBf16 ? 2 : 1;  // elements of a row side by side

 public:
  /// Whether words are units.
  static constexpr bool kInPlace =
      kPerWord == Math::kPerUnit && (E::kBf16 || std::is_same_v<Math, F32Math>);

  InterleavedReader(const Factor& factor, int64_t k)
      : data_(static_cast<const uint32_t*>(factor.data)), row_words_(k / kPerWord) {}

  /// The rows of a panel from `row` on, from the unit `unit` on.
  const uint32_t* panel(int64_t row, int64_t unit) const {
    return data_ + row * row_words_ + unit * Math::kPerUnit / kPerWord * kPanelColumns;
  }
  /// From a row to the next, as if it lay behind it.
  int64_t column_units() const { return row_words_; }

  /// Vector `vector` of those rows.
  U32 across(int64_t row, int64_t vector, int64_t unit) const {
    const uint32_t* const at = panel(row, unit) + vector * kLanes;
    if constexpr (kInPlace) {
      return load<U32>(at);
    } else if constexpr (E::kBf16) {  // of two units a word
      const U32 words = load<U32>(at);
      return unit % 2 == 0 ? words << 16 : words & 0xFFFF0000u;
    } else {  // floats that are rounded
      return Math::template across_rows<E>(reinterpret_cast<const float*>(at), kPanelColumns);
    }
  }

  /// Asks for the memory of a unit, which need not exist, into the level-1 cache.
  void prefetch(int64_t row, int64_t unit) const {
    const auto* const at = reinterpret_cast<const char*>(panel(row, unit));
    for (int64_t line = 0; line < kPanelColumns * 4; line += kLineBytes) {
      __builtin_prefetch(at + line, 0, 3);
    }
  }

  /// Where units [unit, unit + units) of rows [row, row + rows) lie.
  Lines memory(int64_t row, int64_t rows, int64_t unit, int64_t units) const {
    const int64_t row_bytes = row_words_ * 4;
    return {.at = reinterpret_cast<const char*>(panel(row, unit)),
            .rows = rows / kPanelColumns,
            .stride_bytes = kPanelColumns * row_bytes,
            .lines_each = units * Math::kPerUnit / kPerWord * kPanelColumns * 4 / kLineBytes};
  }

 private:
  const uint32_t* data_;
  int64_t row_words_;
};

template <class Math, class E>
void pack_panel(const InterleavedReader<Math, E>& from, int64_t row, int64_t vectors, int64_t first,
                int64_t units, uint32_t* to) {
  for (int64_t u = 0; u < units; ++u) {
    for (int64_t v = 0; v < vectors; ++v, to += kLanes) store(to, from.across(row, v, first + u));
  }
}

/// Units that are asked for ahead of those that few rows of A are multiplied with.
constexpr int64_t kFewUnitsAhead = 13056 / (kPanelColumns * 4);

/// M rows of A, `stride` units apart.
template <class Math, int M, class E>
void few_rows(const Piece& p, const InterleavedReader<Math, E>& b, const uint32_t* a,
              int64_t stride) {
  constexpr auto kVectors = static_cast<size_t>(kTileVectors);
  const int64_t units = (p.k + Math::kPerUnit - 1) / Math::kPerUnit;
  for (int64_t col = 0; col < p.n; col += kPanelColumns) {
    F32 sum[kVectors][static_cast<size_t>(M)];
    const auto each = [&](const auto& f) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) {
        const auto vector = static_cast<int64_t>(v);
        f(vector, col + vector * kLanes, sum[v]);
      }
    };
    each([&](int64_t, int64_t at, auto& sums) { load_sums<M>(p, at, sums); });
    for (int64_t u = 0; u < units; ++u) {
      b.prefetch(col, u + kFewUnitsAhead);
      each([&](int64_t v, int64_t, auto& sums) {
        const U32 row = b.across(col, v, u);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) sums[m] = Math::madd(a[m * stride + u], row, sums[m]);
      });
    }
    each([&](int64_t, int64_t at, auto& sums) { store_sums<M>(p, at, sums); });
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
