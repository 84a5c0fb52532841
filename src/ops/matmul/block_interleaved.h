#pragma once

// Products with rows of B that are interleaved (quant/interleaved.h): tiles read them in place, and
// few rows of A pass them once, a vector of rows after the other. For *_isa.cc files.

#include "ops/matmul/block_panels.h"

namespace corral::ops::CORRAL_ISA {
namespace {

#if defined(__AVX2__) && !defined(CORRAL_TILES)

// A group of the rows of a tile: codes, then scales.
constexpr int64_t kGroupCodes = kPanelColumns * kGroup;
constexpr int64_t kGroupBytes = kGroupCodes + kPanelColumns * 2;

/// The columns of a group in B itself.
struct InterleavedColumns {
  static constexpr int64_t kStepBytes = kQuadGroups * kGroupBytes;
  static constexpr bool kScalesBehind = true;
};

/// Interleaved rows for PanelProduct: panels are where they lie.
template <class Format>
struct InterleavedRows {
  using Traits = TraitsOf<Format, InterleavedColumns>;

  static void bring(Panel& panel, const BlockPiece& p, int64_t col, int64_t first,
                    int64_t /*quads*/) {
    panel.words = place(p, col, first);
    panel.chain_bytes = kGroupBytes;
  }
  static Lines lines(const BlockPiece& p, int64_t col, int64_t first, int64_t quads) {
    return {.at = reinterpret_cast<const char*>(place(p, col, first)),
            .rows = 1,
            .stride_bytes = 0,
            .lines_each = quads * kQuadGroups * kGroupBytes / kLineBytes};
  }

 private:
  static const std::byte* place(const BlockPiece& p, int64_t col, int64_t first) {
    return p.b + col * p.b_row_bytes + first * kQuadGroups * kGroupBytes;
  }
};

// So far behind what is read more is asked for, a line at a time between the products. One stream
// a thread, unlike rows: two are slower while the memory is slow, four and eight always.
inline int64_t interleaved_ahead(const BlockPiece& p) {
  if (p.m > 1) return 4352;
  return p.far ? 8704 : 3264;
}

/// A few rows of A, from `row` on, with the rows of B of a tile.
template <class Format, size_t kRows>
class FewRows {
  static_assert(Format::kHalves == 1 && !Format::kMinimum && !Format::kPowers);

 public:
  FewRows(const BlockPiece& p, int64_t row) : p_(p), row_(row) {}

  /// The rows of B from `col` on.
  void multiply(int64_t col) const {
    Chain chains[kQuadGroups];
    for (auto& chain : chains) each([&](size_t i, size_t v) { chain[i][v] = broadcast(0.0f); });
    const std::byte* at = p_.b + col * p_.b_row_bytes;
    const int64_t ahead = interleaved_ahead(p_);
    for (int64_t group = 0; group < p_.groups; ++group, at += kGroupBytes) {
      add_group(chains[group % kQuadGroups], at, ahead, group);
    }
    finish(chains, col);
  }

 private:
  using Chain = Floats[kRows][kTileVectors];

  template <class F>
  [[gnu::always_inline]] static void each(const F& f) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) f(i, v);
    }
  }

  /// A step of a chain. Asks for what lies `ahead` bytes behind what it reads.
  [[gnu::always_inline]] void add_group(Chain& chain, const std::byte* at, int64_t ahead,
                                        int64_t group) const {
    AllProducts<Products<Format::kWide>> dots[kRows][kTileVectors];
    each([&](size_t i, size_t v) { dots[i][v].begin(broadcast(p_.a.start[number(i, group)])); });
#pragma GCC unroll 8
    for (int64_t word = 0; word < kGroup / 4; ++word) {
      const std::byte* const columns = at + word * kPanelColumns * 4;
      Bytes words[kTileVectors];
#pragma GCC unroll 2
      for (size_t v = 0; v < kTileVectors; ++v) {
        __builtin_prefetch(columns + ahead + v * 64, 0, 3);
        words[v] = load64<Bytes>(columns + v * 64);
      }
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
        const Bytes of_row = broadcast4(word_of(i, group, word));
#pragma GCC unroll 2
        for (size_t v = 0; v < kTileVectors; ++v) dots[i][v].add(words[v], of_row);
      }
    }
    __builtin_prefetch(at + ahead + kGroupCodes, 0, 3);
#pragma GCC unroll 2
    for (size_t v = 0; v < kTileVectors; ++v) {
      const Floats scales = floats_of_halves(at + kGroupCodes + v * kVectorColumns * 2);
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
        chain[i][v] = add_product(chain[i][v], to_floats(dots[i][v].end(broadcast(0))),
                                  product(scales, broadcast(p_.a.scales[number(i, group)])));
      }
    }
  }
  /// The number of a group of a row of A, and where a word of it is.
  int64_t number(size_t i, int64_t group) const {
    return (row_ + static_cast<int64_t>(i)) * p_.quads() * kQuadGroups + group;
  }
  const int8_t* word_of(size_t i, int64_t group, int64_t word) const {
    const int64_t quad = number(i, group) / kQuadGroups;
    return p_.a.bytes + quad * kQuad + word / 4 * 64 + group % kQuadGroups * 16 + word % 4 * 4;
  }

  void finish(const Chain (&chains)[kQuadGroups], int64_t col) const {
    each([&](size_t i, size_t v) {
      const Floats total =
          sum(sum(sum(chains[0][i][v], chains[1][i][v]), chains[2][i][v]), chains[3][i][v]);
      float* const c = p_.c + (row_ + static_cast<int64_t>(i)) * p_.c_row_stride +
                       (col + static_cast<int64_t>(v) * kVectorColumns) * p_.c_col_stride;
      if (p_.c_col_stride == 1 && !p_.accumulate) return store64(c, total);
      float totals[kVectorColumns];
      store64(totals, total);
      for (int64_t j = 0; j < kVectorColumns; ++j) {
        float& to = c[j * p_.c_col_stride];
        to = p_.accumulate ? to + totals[j] : totals[j];
      }
    });
  }

  const BlockPiece& p_;
  int64_t row_;
};

/// A stretch of B. Rows of A that are too many for a tile pass by in several, nearly the same.
template <class Format>
void interleaved_rows(const BlockPiece& p) {
  const auto column_of = [&](int64_t part) {
    return p.n / kPanelColumns * part / p.parts * kPanelColumns;
  };
  const int64_t end = column_of(p.end_part);
  const int64_t tiles = parts_of(p.m, static_cast<int64_t>(kTileRows));
  for (int64_t col = column_of(p.begin_part); col < end; col += kPanelColumns) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t row = tile * p.m / tiles;
      with_tile_rows<kTileRows>((tile + 1) * p.m / tiles - row, [&]<size_t kRows>() {
        FewRows<Format, kRows>(p, row).multiply(col);
      });
    }
  }
}

template <class Format>
void interleaved_panels(const BlockPiece& p, std::byte* scratch) {
  PanelProduct<Format, InterleavedRows<Format>>(p, scratch).run();
}

#endif

template <class Format>
constexpr InterleavedKernels interleaved_of() {
#if defined(__AVX2__) && !defined(CORRAL_TILES)
  if constexpr (Format::kInterleaves) {
    return {.columns = kPanelColumns,
            .unsigned_codes = kWideOffset != 0,
            .rows = interleaved_rows<Format>,
            .few_rows = 6,  // measured from memory, two threads, on a Zen 5
            .multiply = interleaved_panels<Format>};
  }
#endif
  return {};
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
