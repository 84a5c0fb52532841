#pragma once

// Products of floats in the tiles of AMX, for matmul_amx.cc only. A float is the sum of three bf16,
// a product of floats that of nine products; of those the six are computed that an f32 has bits
// for: what is left out is at most 2^-22 of it. Weights are the rows of the tiles and A is the
// columns, so that weights are not turned; C leaves the tiles turned.

#include "ops/matmul/floats_pack_amx.h"
#include "simd/tiles.h"

namespace corral::ops::CORRAL_ISA {

inline constexpr int64_t kFloatSums = kFloatTile * kFloatTile;
// Of A in the level-2 cache: rows, and steps of k; of a single row more.
inline constexpr int64_t kFloatBlockRows = 256;
inline constexpr int64_t kFloatBlockSteps = 16;
inline constexpr int64_t kFloatRowSteps = 64;

/// Columns of the tiles that hold A and sums: one, or as many as there can be.
inline int64_t float_columns(const Piece& p) { return p.m == 1 ? 1 : kFloatTile; }

/// The products of a step: tiles 0 to 3 are sums, 4 and 5 of B, 6 and 7 of A. The order loads least
/// and adds the largest last. Calls between(0) to between(5).
template <int kTilesOfA, class Between>
[[gnu::always_inline]] inline void add_float_products(const uint32_t* b, const uint32_t* a,
                                                      int64_t a_stride, int64_t columns,
                                                      const Between& between) {
  using namespace simd::CORRAL_ISA;
  const auto load_b = [&](int64_t part) {
    load_tile<4>(b + part * kFloatPartWords, kFloatTile * 4);
    load_tile<5>(b + part * kFloatPartWords + kFloatPartWords / 2, kFloatTile * 4);
  };
  const auto load_a = [&](int64_t part) {
    const uint32_t* const at = a + part * kFloatTile * columns;
    load_tile<6>(at, columns * 4);
    if constexpr (kTilesOfA == 2) load_tile<7>(at + a_stride, columns * 4);
  };
  const auto add = [&](int64_t turn) {
    add_products_of_bf16<0, 4, 6>();
    add_products_of_bf16<2, 5, 6>();
    if constexpr (kTilesOfA == 2) {
      add_products_of_bf16<1, 4, 7>();
      add_products_of_bf16<3, 5, 7>();
    }
    between(turn);
  };
  load_a(0);
  load_b(2);
  add(0);
  load_b(1);
  add(1);
  load_a(1);
  add(2);
  load_b(0);
  add(3);
  load_a(2);
  add(4);
  load_a(0);
  add(5);
}

/// 16 by 16 of C, of which there may be fewer, from and to a tile of sums: [column][row].
class FloatSums {
 public:
  FloatSums(const Piece& p, int64_t row, int64_t col, float* sums)
      : row_(row),
        col_(col),
        rows_(simd::CORRAL_ISA::min(kFloatTile, p.m - row)),
        cols_(simd::CORRAL_ISA::min(kFloatTile, p.n - col)),
        columns_(float_columns(p)),
        turned_(p.m > 1 && p.c_col_stride == 1),
        c_(p.c + row * p.c_row_stride + col * p.c_col_stride),
        row_stride_(p.c_row_stride),
        col_stride_(p.c_col_stride),
        sums_(sums) {}

  void read() const {
    if (!turned_) {
      std::memset(sums_, 0, static_cast<size_t>(kFloatTile * columns_) * sizeof(float));
      return each([](float& sum, float& c) { sum = c; });
    }
    U32 v[kLanes] = {};
    for (int64_t i = 0; i < rows_; ++i) {
      v[i] = reinterpret_cast<U32>(simd::CORRAL_ISA::load_partial(at(i, 0), cols_));
    }
    transpose(v);
    for (int64_t j = 0; j < kLanes; ++j) simd::CORRAL_ISA::store(sums_ + j * kLanes, v[j]);
  }
  void write() const {
    if (!turned_) return each([](float& sum, float& c) { c = sum; });
    U32 v[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) v[j] = simd::CORRAL_ISA::load<U32>(sums_ + j * kLanes);
    transpose(v);
    for (int64_t i = 0; i < rows_; ++i) {
      simd::CORRAL_ISA::store_partial(at(i, 0), reinterpret_cast<F32>(v[i]), cols_);
    }
  }
  /// Replaces what is NaN by f(row, column, what C holds).
  template <class F>
  void replace_nan(const F& f) const {
    F32 total{};
    for (int64_t i = 0; i < kFloatTile * columns_; i += kLanes) {
      total += simd::CORRAL_ISA::load(sums_ + i);
    }
    float any = 0;
    for (int i = 0; i < kLanes; ++i) any += total[i];
    if (any == any) return;
    for (int64_t j = 0; j < cols_; ++j) {
      for (int64_t i = 0; i < rows_; ++i) {
        float& sum = sums_[j * columns_ + i];
        if (sum != sum) sum = f(row_ + i, col_ + j, *at(i, j));
      }
    }
  }

 private:
  float* at(int64_t i, int64_t j) const { return c_ + i * row_stride_ + j * col_stride_; }
  template <class F>
  void each(const F& f) const {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) f(sums_[j * columns_ + i], *at(i, j));
    }
  }

  int64_t row_;
  int64_t col_;
  int64_t rows_;
  int64_t cols_;
  int64_t columns_;
  bool turned_;
  float* c_;
  int64_t row_stride_;
  int64_t col_stride_;
  float* sums_;
};

/// A piece of a product of floats.
template <class EA, class EB>
class FloatProduct {
 public:
  /// `scratch`: float_scratch_words().
  FloatProduct(const Piece& p, uint32_t* scratch)
      : p_(p), a_from_(p.a, p.m, p.k), b_from_(p.b, p.n, p.k), scratch_(scratch) {}

  void multiply() {
    simd::CORRAL_ISA::TileShapes shapes;
    for (const int tile : {0, 1, 2, 3, 6, 7}) shapes.set(tile, kFloatTile, columns() * 4);
    for (const int tile : {4, 5}) shapes.set(tile, kFloatTile, kFloatTile * 4);
    simd::CORRAL_ISA::load_shapes(shapes);
    const int64_t steps = all_steps(p_);
    for (step_ = 0; step_ < steps; step_ += block_steps(p_)) {
      steps_ = simd::CORRAL_ISA::min(block_steps(p_), steps - step_);
      for (row_ = 0; row_ < p_.m; row_ += kFloatBlockRows) {
        rows_ = simd::CORRAL_ISA::min(kFloatBlockRows, p_.m - row_);
        multiply_block();
      }
    }
    simd::CORRAL_ISA::release_tiles();
  }

  static int64_t scratch_words(const Piece& p) {
    const int64_t rows = simd::CORRAL_ISA::min(p.m, kFloatBlockRows);
    const int64_t a = parts_of(rows, kFloatTile) * block_steps(p) * a_step_words(p);
    return ring_steps(rows, block_steps(p)) * kFloatStepWords + a;
  }

 private:
  static int64_t all_steps(const Piece& p) { return parts_of(p.k, kFloatStep); }
  static int64_t block_steps(const Piece& p) {
    return simd::CORRAL_ISA::min(all_steps(p), p.m == 1 ? kFloatRowSteps : kFloatBlockSteps);
  }
  static int64_t a_step_words(const Piece& p) {
    return kFloatParts * kFloatTile * float_columns(p);
  }
  /// Steps of B that are kept: where only two tiles of A pass by, none but the one in use.
  static int64_t ring_steps(int64_t rows, int64_t steps) {
    return rows > 2 * kFloatTile ? steps + 1 : 2;
  }
  int64_t columns() const { return float_columns(p_); }
  bool from_c() const { return p_.accumulate || step_ > 0; }

  void multiply_block() {
    const int64_t ring = ring_steps(rows_, steps_);
    a_ = scratch_ + ring * kFloatStepWords;
    a_stride_ = steps_ * a_step_words(p_);
    uint32_t* to = a_;
    for (int64_t r = 0; r < rows_; r += kFloatTile) {
      for (int64_t s = 0; s < steps_; ++s, to += a_step_words(p_)) {
        pack_float_columns(a_from_, row_ + r, (step_ + s) * kFloatStep, columns(), to);
      }
    }
    FloatPanels panels(b_from_, p_.n, step_, step_ + steps_, ring, scratch_);
    int64_t place = 0;
    for (int64_t col = 0; col < p_.n; col += kFloatPanel) {
      const int64_t first = place;
      for (int64_t r = 0; r < rows_; r += 2 * kFloatTile) {
        place = rows_ - r > kFloatTile ? multiply_tiles<2>(r, col, panels, first)
                                       : multiply_tiles<1>(r, col, panels, first);
      }
    }
  }

  /// kTilesOfA times two tiles of C, with the panel of B whose first step is at `place`. The next
  /// panel is made while the first rows of A are multiplied; returns where it is.
  template <int kTilesOfA, class Panels>
  int64_t multiply_tiles(int64_t r, int64_t col, Panels& panels, int64_t place) {
    using namespace simd::CORRAL_ISA;
    alignas(64) float sums[4][kFloatSums];
    const int64_t row_bytes = columns() * 4;
    const auto each_sum = [&](const auto& f) {
      for (int64_t i = 0; i < 2 * kTilesOfA; ++i) {
        const int64_t j = col + i / kTilesOfA * kFloatTile;
        float* const at = sums[i / kTilesOfA * 2 + i % kTilesOfA];
        if (j < p_.n) f(FloatSums(p_, row_ + r + i % kTilesOfA * kFloatTile, j, at));
      }
    };
    if (from_c()) {
      each_sum([](const FloatSums& sum) { sum.read(); });
      load_tile<0>(sums[0], row_bytes);
      load_tile<2>(sums[2], row_bytes);
      if constexpr (kTilesOfA == 2) {
        load_tile<1>(sums[1], row_bytes);
        load_tile<3>(sums[3], row_bytes);
      }
    } else {
      zero_tile<0>();
      zero_tile<1>();
      zero_tile<2>();
      zero_tile<3>();
    }
    const uint32_t* a = a_ + r / kFloatTile * a_stride_;
    for (int64_t s = 0; s < steps_; ++s) {
      const uint32_t* const b = panels.at(place);
      if (r == 0 && !panels.done()) {
        add_float_products<kTilesOfA>(b, a, a_stride_, columns(),
                                      [&](int64_t turn) { panels.make(turn); });
        panels.next();
      } else {
        add_float_products<kTilesOfA>(b, a, a_stride_, columns(), [](int64_t) {});
      }
      place = panels.after(place);
      a += a_step_words(p_);
    }
    store_tile<0>(sums[0], row_bytes);
    store_tile<2>(sums[2], row_bytes);
    if constexpr (kTilesOfA == 2) {
      store_tile<1>(sums[1], row_bytes);
      store_tile<3>(sums[3], row_bytes);
    }
    each_sum([&](const FloatSums& sum) {
      sum.replace_nan([&](int64_t i, int64_t j, float c) { return in_f32(i, j, c); });
      sum.write();
    });
    return place;
  }

  /// The sum without tiles. Infinity is no sum of finite parts: in tiles it becomes NaN.
  float in_f32(int64_t row, int64_t col, float c) const {
    float sum = from_c() ? c : 0;
    const int64_t end = simd::CORRAL_ISA::min((step_ + steps_) * kFloatStep, p_.k);
    for (int64_t k = step_ * kFloatStep; k < end; ++k) {
      sum += a_from_.value(row, k) * b_from_.value(col, k);
    }
    return sum;
  }

  const Piece& p_;
  UnitReader<F32Math, EA> a_from_;
  UnitReader<F32Math, EB> b_from_;
  uint32_t* scratch_;
  // The block of k and of rows of A, and A packed: [16 rows][step].
  int64_t step_ = 0;
  int64_t steps_ = 0;
  int64_t row_ = 0;
  int64_t rows_ = 0;
  uint32_t* a_ = nullptr;
  int64_t a_stride_ = 0;
};

/// Words of scratch memory for a piece, or a piece of it.
inline int64_t float_scratch_words(const Piece& p) {
  using Any = FloatProduct<F32Element, F32Element>;
  Piece row = p;  // of many rows the last piece can be one
  row.m = 1;
  return simd::CORRAL_ISA::max(Any::scratch_words(p), Any::scratch_words(row));
}

}  // namespace corral::ops::CORRAL_ISA
