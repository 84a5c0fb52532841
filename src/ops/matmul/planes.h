#pragma once

// Rows of A as bf16 for the tiles of AMX, for matmul_amx.cc only: rounded to one bf16 each, or as
// three whose sum is exactly the float, so that products with bf16 weights lose nothing.

#include "ops/matmul/matmul_pack.h"

namespace corral::ops::CORRAL_ISA {

/// 32 elements of a row for each plane; a unit is a pair.
template <int kPlanes>
using PlaneUnits = U32[static_cast<size_t>(kPlanes)];

/// Elements rounded to bf16.
template <class E>
class Rounded {
 public:
  static constexpr int kPlanes = 1;

  explicit Rounded(const Piece& p) : from_(p.a, p.m, p.k) {}
  bool k_contiguous() const { return from_.k_contiguous(); }
  void along_k(int64_t row, int64_t unit, PlaneUnits<1>& to) const {
    to[0] = from_.along_k(row, unit);
  }
  /// One unit of 16 rows.
  U32 across_rows(int64_t row, int64_t unit) const { return from_.across_rows(row, unit); }

 private:
  UnitReader<BF16Math, E> from_;
};

/// The upper 16 bits of 32 floats.
inline U32 upper_halves(U32 first, U32 last) {
  typedef uint16_t Halves __attribute__((vector_size(sizeof(U32))));
  const auto a = reinterpret_cast<Halves>(first);
  const auto b = reinterpret_cast<Halves>(last);
  return reinterpret_cast<U32>(__builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21,
                                                       23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                       45, 47, 49, 51, 53, 55, 57, 59, 61, 63));
}

/// A float as the sum of three bf16: its first 8 bits, the next 8, and the rest. Infinity is in the
/// first alone, and so is NaN.
struct Thirds {
  U32 part[3];

  explicit Thirds(U32 bits) {
    constexpr uint32_t kUpper = 0xFFFF0000u;
    constexpr uint32_t kInfinity = 0x7F800000u;
    const auto magnitude = bits & 0x7FFFFFFFu;
    const auto finite = reinterpret_cast<U32>(magnitude < kInfinity);
    const auto nan = reinterpret_cast<U32>(magnitude > kInfinity);
    part[0] = (bits & kUpper) | (nan & 0x00400000u);
    const U32 rest = difference(bits, part[0]) & finite;
    part[1] = rest & kUpper;
    part[2] = difference(rest, part[1]);
  }

 private:
  static U32 difference(U32 a, U32 b) {
    return reinterpret_cast<U32>(reinterpret_cast<F32>(a) - reinterpret_cast<F32>(b));
  }
};

/// Elements as the sum of three bf16.
template <class E>
class Exact {
 public:
  static constexpr int kPlanes = 3;

  explicit Exact(const Piece& p) : from_(p.a, p.m, p.k) {}
  void along_k(int64_t row, int64_t unit, PlaneUnits<3>& to) const {
    const Thirds first(from_.along_k(row, 2 * unit));
    const Thirds last(from_.along_k(row, 2 * unit + kLanes));
    for (int i = 0; i < 3; ++i) to[i] = upper_halves(first.part[i], last.part[i]);
  }

 private:
  UnitReader<F32Math, E> from_;
};

}  // namespace corral::ops::CORRAL_ISA
