#pragma once

// Floats as sums of bf16 for the tiles of AMX, for floats_amx.h only.

#include "ops/matmul/matmul_kernel.h"
#include "ops/matmul/matmul_pack.h"

namespace corral::ops::CORRAL_ISA {

inline constexpr int64_t kFloatTile = 16;               // rows, columns, and pairs of k of a tile
inline constexpr int64_t kFloatStep = 2 * kFloatTile;   // elements of k in a tile
inline constexpr int64_t kFloatPanel = 2 * kFloatTile;  // rows of B that share what is loaded of A
inline constexpr int64_t kFloatParts = 3;               // bf16 that make up a float
/// Words of a part, and of all, of a step of a panel of B.
inline constexpr int64_t kFloatPartWords = kFloatPanel * kFloatTile;
inline constexpr int64_t kFloatStepWords = kFloatParts * kFloatPartWords;

/// Two floats a lane as the sums of three bf16 each: the upper 16 bits, the next 8 rounded, and the
/// rest, which has 8 bits and a sign. A word holds a part of the first and the same of the second.
struct FloatPairs {
  U32 part[kFloatParts];

  FloatPairs(U32 first, U32 second) {
    take(0, first, second, 0);
    take(1, first, second, 0x8000);  // to the nearest: what is left out has either sign
    part[2] = (first >> 16) | second;
  }

 private:
  /// Takes the upper 16 bits of both.
  void take(int i, U32& first, U32& second, uint32_t half) {
    const U32 low = (first + half) & 0xFFFF0000u;
    const U32 high = (second + half) & 0xFFFF0000u;
    part[i] = (low >> 16) | high;
    first = difference(first, low);
    second = difference(second, high);
  }
  static U32 difference(U32 a, U32 b) {
    return reinterpret_cast<U32>(reinterpret_cast<F32>(a) - reinterpret_cast<F32>(b));
  }
};

/// v[i]: 16 elements along k of row `row` + i; or with kTurned element k + i of 16 rows.
template <bool kTurned, class Reader>
void read_floats(const Reader& from, int64_t row, int64_t k, U32 (&v)[kLanes]) {
  for (int64_t i = 0; i < kLanes; ++i) {
    v[i] = from.k_contiguous() ? from.along_k(row + i, k) : from.across_rows(row, k + i);
  }
  if (from.k_contiguous() == kTurned) transpose(v);
}

/// A step of A: to[part][pair of k][row], of one row or of 16 of which there may be fewer.
template <class Reader>
void pack_float_columns(const Reader& from, int64_t row, int64_t k, int64_t columns, uint32_t* to) {
  if (columns == 1) {
    const FloatPairs pairs(from.along_k(row, k), from.along_k(row, k + kLanes));
    for (int64_t i = 0; i < kFloatParts; ++i) {
      simd::CORRAL_ISA::store(to + i * kFloatTile, pairs.part[i]);
    }
    return;
  }
  U32 first[kLanes];
  U32 second[kLanes];
  read_floats<true>(from, row, k, first);
  read_floats<true>(from, row, k + kLanes, second);
  for (int64_t u = 0; u < kLanes; ++u) {
    const FloatPairs pairs(first[u], second[u]);
    for (int64_t i = 0; i < kFloatParts; ++i) {
      simd::CORRAL_ISA::store(to + (i * kFloatTile + u) * kLanes, pairs.part[i]);
    }
  }
}

/// Panels of B, one after another, step by step: [part][row][pair of k]. A step is made while the
/// one before is multiplied, in a ring of so many that a panel stays while it is wanted.
template <class Reader>
class FloatPanels {
 public:
  static constexpr int64_t kTurns = 6;  // in which a step is made

  /// Of all rows, steps [begin, end) of k. The first step is made at once.
  FloatPanels(const Reader& from, int64_t rows, int64_t begin, int64_t end, int64_t ring_steps,
              uint32_t* ring)
      : from_(from),
        rows_(rows),
        begin_(begin),
        end_(end),
        step_(begin),
        ring_steps_(ring_steps),
        ring_(ring) {
    ask_ahead();
    for (int64_t turn = 0; turn < kTurns; ++turn) make(turn);
    next();
  }

  /// All steps of all panels are made.
  bool done() const { return row_ >= rows_; }
  /// Makes a part of the next step, which exists.
  [[gnu::always_inline]] void make(int64_t turn) {
    const int64_t k = step_ * kFloatStep;
    uint32_t* const to = ring_ + place_ * kFloatStepWords;
    if (!from_.inside_along_k(row_, kFloatPanel, k, kFloatStep)) {
      if (turn == 0) make_edge(k, to);
      return;
    }
    const int64_t end = (turn + 1) * kFloatPanel / kTurns;
    for (int64_t i = turn * kFloatPanel / kTurns; i < end; ++i) {
      ahead_.take_turn();
      const U32 first = from_.along_k_inside(row_ + i, k);
      put(to, i, FloatPairs(first, from_.along_k_inside(row_ + i, k + kLanes)));
    }
  }
  /// After its last turn.
  void next() {
    place_ = after(place_);
    if (++step_ < end_) return;
    step_ = begin_;
    row_ += kFloatPanel;
    ask_ahead();
  }

  const uint32_t* at(int64_t place) const { return ring_ + place * kFloatStepWords; }
  /// The place behind one in the ring.
  int64_t after(int64_t place) const { return place + 1 < ring_steps_ ? place + 1 : 0; }

 private:
  static void put(uint32_t* to, int64_t i, const FloatPairs& pairs) {
    for (int64_t part = 0; part < kFloatParts; ++part) {
      simd::CORRAL_ISA::store(to + part * kFloatPartWords + i * kFloatTile, pairs.part[part]);
    }
  }
  /// Rows or k end, or rows do not lie along k.
  [[gnu::noinline]] void make_edge(int64_t k, uint32_t* to) const {
    for (int64_t r = 0; r < kFloatPanel; r += kFloatTile) {
      U32 first[kLanes];
      U32 second[kLanes];
      read_floats<false>(from_, row_ + r, k, first);
      read_floats<false>(from_, row_ + r, k + kLanes, second);
      for (int64_t i = 0; i < kLanes; ++i) put(to, r + i, FloatPairs(first[i], second[i]));
    }
  }
  /// Has the next rows read while these are split, in the order in which they lie.
  void ask_ahead() {
    ahead_ = Ahead();
    const int64_t row = row_ + kFloatPanel;
    if (row >= rows_) return;
    const int64_t rows = simd::CORRAL_ISA::min(kFloatPanel, rows_ - row);
    const int64_t steps = end_ - begin_;
    ahead_.add(from_.memory(row, rows, begin_ * kFloatStep, steps * kFloatStep));
    ahead_.spread_over(steps * kFloatPanel);
  }

  const Reader& from_;
  int64_t rows_;
  int64_t begin_;
  int64_t end_;
  int64_t row_ = 0;  // what is made next
  int64_t step_;
  int64_t place_ = 0;
  int64_t ring_steps_;
  uint32_t* ring_;
  Ahead ahead_;
};

}  // namespace corral::ops::CORRAL_ISA
