#pragma once

// Products of few rows of A with weights in bf16 in the tiles of AMX, for matmul_amx.cc only. The
// weights are the rows of the tiles and A the columns: what is read once, straight from where it
// lies, is not packed. The sums are those of matmul_amx.cc.

#include "ops/matmul/matmul_kernel.h"
#include "ops/matmul/planes.h"
#include "simd/tiles.h"

namespace corral::ops::CORRAL_ISA {

inline constexpr int64_t kMostFewRows = 16;        // columns of a tile
inline constexpr int64_t kFewTile = 16;            // rows of B, and pairs of k, of a tile
inline constexpr int64_t kFewStep = 2 * kFewTile;  // elements of k
inline constexpr int64_t kShortRow = 1024;         // elements
inline constexpr int64_t kStepsAhead = 16;         // along rows that are longer

/// Whether there are few rows, and they and the weights can be read along k. (Only for weights in
/// bf16.)
inline bool few_rows_amx(const Piece& p) {
  return p.m <= kMostFewRows && p.a.k_stride == 1 && p.b.k_stride == 1;
}
/// Columns of the tiles that hold A: one, or as many as there can be.
inline int64_t few_columns(const Piece& p) { return p.m == 1 ? 1 : kFewTile; }
inline int64_t few_steps(const Piece& p) { return (p.k + kFewStep - 1) / kFewStep; }
/// Units of a plane of packed A.
inline int64_t few_rows_amx_units(const Piece& p) {
  return few_steps(p) * kFewTile * few_columns(p);
}

/// to[plane][step][unit][row]
template <class Planes>
void pack_few_rows(const Piece& p, const Planes& from, uint32_t* to) {
  const int64_t stride = few_rows_amx_units(p);
  for (int64_t step = 0; step < few_steps(p); ++step) {
    if (p.m == 1) {
      PlaneUnits<Planes::kPlanes> units;
      from.along_k(0, step * kFewTile, units);
      for (int64_t i = 0; i < Planes::kPlanes; ++i) {
        simd::CORRAL_ISA::store(to + i * stride + step * kFewTile, units[i]);
      }
      continue;
    }
    U32 rows[static_cast<size_t>(Planes::kPlanes)][kLanes];
    for (int64_t r = 0; r < kLanes; ++r) {
      PlaneUnits<Planes::kPlanes> units;
      from.along_k(r, step * kFewTile, units);
      for (int i = 0; i < Planes::kPlanes; ++i) rows[i][r] = units[i];
    }
    for (int64_t i = 0; i < Planes::kPlanes; ++i) {
      transpose(rows[i]);
      uint32_t* const at = to + i * stride + step * kFewTile * kLanes;
      for (int64_t u = 0; u < kLanes; ++u) simd::CORRAL_ISA::store(at + u * kLanes, rows[i][u]);
    }
  }
}

/// 16 rows of weights from `row` on.
class FewWeights {
 public:
  FewWeights(const Piece& p, int64_t row)
      : at_(static_cast<const uint16_t*>(p.b.data) + row * p.b.row_stride),
        stride_(p.b.row_stride),
        rows_(simd::CORRAL_ISA::min(kFewTile, p.n - row)),
        k_(p.k) {}

  /// Loads tile kW with the elements of a step. Where rows or K end within it they are copied, with
  /// zeros behind.
  template <int kW>
  [[gnu::always_inline]] void load(int64_t step, uint16_t* aside) const {
    const int64_t k = step * kFewStep;
    if (rows_ == kFewTile && k + kFewStep <= k_) {
      return simd::CORRAL_ISA::load_tile<kW>(at_ + k, stride_ * 2);
    }
    const int64_t count = simd::CORRAL_ISA::min(kFewStep, k_ - k);
    for (int64_t i = 0; i < kFewTile; ++i) {
      for (int64_t j = 0; j < kFewStep; ++j) {
        aside[i * kFewStep + j] = i < rows_ && j < count ? at_[i * stride_ + k + j] : uint16_t{0};
      }
    }
    simd::CORRAL_ISA::load_tile<kW>(aside, kFewStep * 2);
  }

  /// Asks for what is read while memory answers. The `rows` behind these need not exist. (Inlined:
  /// g++ drops calls of a function that only asks for memory.)
  [[gnu::always_inline]] void fetch(int64_t step, int64_t rows) const {
    const uint16_t* const behind = at_ + rows * stride_;
    if (stride_ == k_ && k_ <= kShortRow) {
      // The next rows as they lie, which is the order memory is fast in, and what that has
      // brought near a little before it is read across.
      const uint16_t* const next = behind + step * kFewTile * kFewStep;
      const uint16_t* const near = at_ + (step + 2) * kFewStep;
      for (int64_t i = 0; i < kFewTile; ++i) {
        __builtin_prefetch(next + i * kFewStep, 0, 2);
        __builtin_prefetch(near + i * stride_, 0, 3);
      }
      return;
    }
    // What follows in these rows; where they end, what the next ones begin with.
    const int64_t past_end = step + kStepsAhead - (k_ + kFewStep - 1) / kFewStep;
    const uint16_t* const at = (past_end < 0 ? at_ + k_ : behind) + past_end * kFewStep;
    for (int64_t i = 0; i < kFewTile; ++i) __builtin_prefetch(at + i * stride_, 0, 2);
  }

 private:
  const uint16_t* at_;
  int64_t stride_;
  int64_t rows_;
  int64_t k_;
};

/// C at some columns from a tile of sums, and back.
class FewSums {
 public:
  FewSums(const Piece& p, int64_t col) : p_(p), col_(col) {}
  void read(float* sums) const {
    each([&](int64_t i, float& c) { sums[i] = c; });
  }
  void write(const float* sums) const {
    each([&](int64_t i, float& c) { c = sums[i]; });
  }

 private:
  template <class F>
  void each(const F& f) const {
    const int64_t columns = few_columns(p_);
    const int64_t cols = simd::CORRAL_ISA::min(kFewTile, p_.n - col_);
    for (int64_t m = 0; m < p_.m; ++m) {
      float* const c = p_.c + m * p_.c_row_stride + col_ * p_.c_col_stride;
      for (int64_t j = 0; j < cols; ++j) f(j * columns + m, c[j * p_.c_col_stride]);
    }
  }

  const Piece& p_;
  int64_t col_;
};

/// kGroups times 16 columns of C from `col` on. Tiles 0 and 1 are sums, 2, 3 and 6 planes of A,
/// 4 and 5 weights.
template <int kPlanes, int kGroups>
void multiply_few_columns(const Piece& p, int64_t col, const uint32_t* a) {
  using namespace simd::CORRAL_ISA;
  alignas(64) float sums[2][kFewTile * kFewTile] = {};
  alignas(64) uint16_t aside[2][kFewTile * kFewStep];
  const int64_t row_bytes = few_columns(p) * 4;
  const int64_t stride = few_rows_amx_units(p);
  const FewWeights first(p, col);
  const FewWeights second(p, kGroups == 2 ? col + kFewTile : col);
  for (int64_t g = 0; p.accumulate && g < kGroups; ++g) {
    FewSums(p, col + g * kFewTile).read(sums[g]);
  }
  load_tile<0>(sums[0], row_bytes);
  if constexpr (kGroups == 2) load_tile<1>(sums[1], row_bytes);
  for (int64_t step = 0; step < few_steps(p); ++step) {
    const uint32_t* const units = a + step * kFewTile * few_columns(p);
    first.fetch(step, kGroups * kFewTile);
    first.load<4>(step, aside[0]);
    if constexpr (kGroups == 2) {
      second.fetch(step, kGroups * kFewTile);
      second.load<5>(step, aside[1]);
    }
    const auto add = [&]<int kPlane>(int64_t plane) {
      load_tile<kPlane>(units + plane * stride, row_bytes);
      add_products_of_bf16<0, 4, kPlane>();
      if constexpr (kGroups == 2) add_products_of_bf16<1, 5, kPlane>();
    };
    if constexpr (kPlanes == 3) {
      add.template operator()<2>(2);
      add.template operator()<3>(1);
    }
    add.template operator()<6>(0);
  }
  store_tile<0>(sums[0], row_bytes);
  if constexpr (kGroups == 2) store_tile<1>(sums[1], row_bytes);
  for (int64_t g = 0; g < kGroups; ++g) FewSums(p, col + g * kFewTile).write(sums[g]);
}

/// The whole piece. `a`: few_rows_amx_units() for each plane.
template <class Planes>
void multiply_few_rows_amx(const Piece& p, const Planes& from, uint32_t* a) {
  pack_few_rows(p, from, a);
  simd::CORRAL_ISA::TileShapes shapes;
  for (const int tile : {0, 1, 2, 3, 6}) shapes.set(tile, kFewTile, few_columns(p) * 4);
  for (const int tile : {4, 5}) shapes.set(tile, kFewTile, kFewStep * 2);
  simd::CORRAL_ISA::load_shapes(shapes);
  for (int64_t col = 0; col < p.n; col += 2 * kFewTile) {
    if (p.n - col > kFewTile) {
      multiply_few_columns<Planes::kPlanes, 2>(p, col, a);
    } else {
      multiply_few_columns<Planes::kPlanes, 1>(p, col, a);
    }
  }
  simd::CORRAL_ISA::release_tiles();
}

}  // namespace corral::ops::CORRAL_ISA
