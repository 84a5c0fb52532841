#pragma once

// Products with so few rows of A that reading B is the work, for matmul_isa.cc only: sums stay in
// registers for all of k and B is not packed. The chains are those of the tiles.

#include "ops/matmul/ahead.h"
#include "ops/matmul/matmul_kernel.h"
#include "ops/matmul/matmul_pack.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {

// A transposed block of B and a sum for every row fill the registers, or sums for all rows and some
// vectors of columns.
#if defined(__AVX512F__) || defined(__ARM_NEON)
inline constexpr int kFewRows = 8;
inline constexpr int kFewSums = 16;
#else
inline constexpr int kFewRows = 4;
inline constexpr int kFewSums = 8;
#endif
// Blocks of columns that are read side by side, and how long rows are whose memory is asked for
// along each of them and not as it lies. Processors with products of bf16 and no tiles are AMD's,
// whose own prefetching cannot follow 32 rows at a time: it fetches what nobody needs.
#if defined(__AVX512BF16__)
inline constexpr size_t kBlocksAtOnce = 1;
inline constexpr int64_t kLongRowBytes = int64_t{1} << 62;
#else
inline constexpr size_t kBlocksAtOnce = 2;
inline constexpr int64_t kLongRowBytes = 8192;
#endif
// How far ahead it is asked for: units along a row that is long, and steps of k across rows.
inline constexpr int64_t kAheadUnits = 256;
inline constexpr int64_t kOnlyAheadUnits = 512;
inline constexpr int64_t kAheadSteps = 16;

/// C at M rows and one vector of columns; columns beyond the end of C are zeros.
template <int M>
void load_sums(const Piece& p, int64_t col, F32 (&sum)[static_cast<size_t>(M)]) {
  const int64_t cols = simd::CORRAL_ISA::min(int64_t{kLanes}, p.n - col);
  for (int64_t m = 0; m < M; ++m) {
    float lanes[kLanes] = {};
    for (int64_t j = 0; p.accumulate && m < p.m && j < cols; ++j) {
      lanes[j] = p.c[m * p.c_row_stride + (col + j) * p.c_col_stride];
    }
    sum[m] = simd::CORRAL_ISA::load(lanes);
  }
}

template <int M>
void store_sums(const Piece& p, int64_t col, const F32 (&sum)[static_cast<size_t>(M)]) {
  const int64_t cols = simd::CORRAL_ISA::min(int64_t{kLanes}, p.n - col);
  for (int64_t m = 0; m < simd::CORRAL_ISA::min(int64_t{M}, p.m); ++m) {
    float* c = p.c + m * p.c_row_stride + col * p.c_col_stride;
    if (p.c_col_stride == 1) {
      simd::CORRAL_ISA::store_partial(c, sum[m], cols);
    } else {
      for (int64_t j = 0; j < cols; ++j) c[j * p.c_col_stride] = sum[m][j];
    }
  }
}

/// A transposed block of kLanes units times M rows of A.
template <class Math, int M>
inline void add_units(const U32 (&block)[kLanes], const uint32_t* a, int64_t stride,
                      F32 (&sum)[static_cast<size_t>(M)]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) sum[m] = Math::madd(a[m * stride + i], block[i], sum[m]);
  }
}

/// The same where a word is two neighbours along k in bf16, each of them a unit: half the
/// transposing for the same chains.
template <class Math, int M>
inline void add_bf16_pairs(const U32 (&block)[kLanes], const uint32_t* a, int64_t stride,
                           F32 (&sum)[static_cast<size_t>(M)]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    const U32 first = block[i] << 16;
    const U32 second = block[i] & 0xFFFF0000u;
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      sum[m] = Math::madd(a[m * stride + 2 * i], first, sum[m]);
      sum[m] = Math::madd(a[m * stride + 2 * i + 1], second, sum[m]);
    }
  }
}

/// Asks for the first `units` units of some rows.
template <class Reader>
void ask_for_begin(const Reader& b, int64_t rows, int64_t units) {
  for (int64_t row = 0; row < rows; ++row) {
    const auto ahead = b.units_ahead(row, 0, 0, kLanes);
    for (int64_t line = 0; line < units / kLanes; ++line) ahead.prefetch(line);
  }
}

/// B lies along k: blocks of kLanes columns and kLanes units are transposed in registers. a holds M
/// rows of `stride` units. Of kBlocks streams of columns a block each at a time: the multiply-adds
/// of one would wait for one another.
template <class Math, int M, size_t kBlocks, class Reader>
void few_rows_along_k(const Piece& p, const Reader& b, const uint32_t* a, int64_t stride) {
  const int64_t units = (p.k + Math::kPerUnit - 1) / Math::kPerUnit;
  // Asked for is what follows along long rows, and along those of a block that is the only one: of
  // these also what they begin with.
  const bool only_block = p.n <= kLanes;
  const bool long_rows = b.row_bytes() >= kLongRowBytes || only_block;
  if (only_block) ask_for_begin(b, p.n, kOnlyAheadUnits);
  // Else the next rows: as they lie in memory if they can be, which is the order it is fast in.
  const bool in_order = !long_rows && b.rows_in_order();
  const int64_t ahead_rows = long_rows ? 0 : kLanes;
  const int64_t ahead_units = only_block ? kOnlyAheadUnits : long_rows ? kAheadUnits : 0;
  const int64_t apart = kBlocks == 1 ? p.n : rows_between(kBlocks, p.n, b.row_bytes(), kLanes);
  for (int64_t first = 0; first < apart; first += kLanes) {
    F32 sum[kBlocks][static_cast<size_t>(M)];
    const auto each_block = [&](const auto& f) {
#pragma GCC unroll 2
      for (size_t i = 0; i < kBlocks; ++i) f(first + static_cast<int64_t>(i) * apart, sum[i]);
    };
    each_block([&](int64_t col, auto& sums) { load_sums<M>(p, col, sums); });
    // `words` of kLanes rows as a block; of rows and units that all exist `inside` gives the same.
    // Written out: with a function of the reader that pack_panel() could share, g++ 12 decodes bf16
    // at 0.93 of the speed, and at a third if it has to inline it.
    const auto load = [&](int64_t col, int64_t u, int64_t step, const auto& words,
                          const auto& inside, U32(&block)[kLanes]) {
      // As they lie, one with each that is read; else all before, which is faster there.
      const auto ahead = in_order ? b.units_ahead(col + kLanes, u * kLanes, 0, step)  // wherever
                                  : b.units_ahead(col + ahead_rows, u + ahead_units, 1, 0);
      if (!in_order) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) ahead.prefetch(i);
      }
      if (b.inside_along_k(col, kLanes, u, step)) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          if (in_order) ahead.prefetch(i);
          block[i] = inside(col + i);
        }
      } else {
        for (int i = 0; i < kLanes; ++i) {
          if (in_order) ahead.prefetch(i);
          block[i] = words(col + i);
        }
      }
      transpose(block);
    };
    int64_t u = 0;
    if constexpr (Reader::kBf16Pairs) {
      for (; u + 2 * kLanes <= units; u += 2 * kLanes) {
        each_block([&](int64_t col, auto& sums) {
          U32 block[kLanes];
          load(
              col, u, 2 * kLanes, [&](int64_t row) { return b.pairs_along_k(row, u); },
              [&](int64_t row) { return b.pairs_along_k_inside(row, u); }, block);
          add_bf16_pairs<Math, M>(block, a + u, stride, sums);
        });
      }
    }
    for (; u < units; u += kLanes) {
      each_block([&](int64_t col, auto& sums) {
        U32 block[kLanes];
        load(
            col, u, kLanes, [&](int64_t row) { return b.along_k(row, u); },
            [&](int64_t row) { return b.along_k_inside(row, u); }, block);
        if (u + kLanes <= units) return add_units<Math, M>(block, a + u, stride, sums);
        for (int64_t i = 0; i < units - u; ++i) {
          for (int m = 0; m < M; ++m) {
            sums[m] = Math::madd(a[m * stride + u + i], block[i], sums[m]);
          }
        }
      });
    }
    each_block([&](int64_t col, const auto& sums) {
      if (col < p.n) store_sums<M>(p, col, sums);
    });
  }
}

/// B lies across k: a step of k is read for several vectors of columns.
template <class Math, int M, class Reader>
void few_rows_across(const Piece& p, const Reader& b, const uint32_t* a, int64_t stride) {
  constexpr int kVectors = kFewSums / M;
  const int64_t units = (p.k + Math::kPerUnit - 1) / Math::kPerUnit;
  for (int64_t col = 0; col < p.n; col += kVectors * kLanes) {
    F32 sum[static_cast<size_t>(kVectors)][static_cast<size_t>(M)];
    for (int v = 0; v < kVectors; ++v) load_sums<M>(p, col + v * kLanes, sum[v]);
    for (int64_t u = 0; u < units; ++u) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        b.prefetch(col + v * kLanes, u + kAheadSteps);
        const U32 row = b.across_rows(col + v * kLanes, u);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) sum[v][m] = Math::madd(a[m * stride + u], row, sum[v][m]);
      }
    }
    for (int v = 0; v < kVectors && col + v * kLanes < p.n; ++v) {
      store_sums<M>(p, col + v * kLanes, sum[v]);
    }
  }
}

template <class Math, int M, class Reader>
void few_rows(const Piece& p, const Reader& b, const uint32_t* a, int64_t stride) {
  if (!b.k_contiguous()) return few_rows_across<Math, M>(p, b, a, stride);
  if constexpr (4 * M <= kFewSums) {  // else registers do not hold two blocks and their sums
    if (p.n > kLanes) return few_rows_along_k<Math, M, kBlocksAtOnce>(p, b, a, stride);
  }
  few_rows_along_k<Math, M, 1>(p, b, a, stride);
}

/// Units of a packed row of A, for all of k.
template <class Math>
int64_t few_rows_stride(int64_t k) {
  const int64_t units = (k + Math::kPerUnit - 1) / Math::kPerUnit;
  return (units + kLanes - 1) / kLanes * kLanes;
}

/// Rows that are packed for m rows of A.
inline int64_t few_rows_packed(int64_t m) { return m > 4 ? kFewRows : m; }

/// Whether factors that lie like this can be multiplied here, once there are few rows.
inline bool readable_for_few_rows(const Piece& p) {
  return p.a.k_stride == 1 && (p.b.k_stride == 1 || p.b.row_stride == 1);
}

/// Units that multiply_few_rows() packs for this piece.
inline int64_t few_rows_units(const Piece& p) {
  return few_rows_packed(p.m) *
         (p.bf16 ? few_rows_stride<BF16Math>(p.k) : few_rows_stride<F32Math>(p.k));
}

/// The whole piece; p.m at most kFewRows. Rows missing to a kernel's number are zeros in `a`.
template <class Math, class ReaderA, class ReaderB>
void multiply_few_rows(const Piece& p, const ReaderA& a_from, const ReaderB& b, uint32_t* a) {
  const int64_t stride = few_rows_stride<Math>(p.k);
  pack_rows(a_from, 0, few_rows_packed(p.m), 0, stride, stride, a);
  switch (p.m) {
    case 1:
      return few_rows<Math, 1>(p, b, a, stride);
    case 2:
      return few_rows<Math, 2>(p, b, a, stride);
    case 3:
      return few_rows<Math, 3>(p, b, a, stride);
    case 4:
      return few_rows<Math, 4>(p, b, a, stride);
    default:
      return few_rows<Math, kFewRows>(p, b, a, stride);
  }
}

}  // namespace corral::ops::CORRAL_ISA
