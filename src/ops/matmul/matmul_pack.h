#pragma once

// Packing of the factors of a product, for matmul_isa.cc only. Both are brought into 32-bit units,
// the operand of one vector multiply-add: a float, or in the bf16 kernels of AVX-512 a pair of bf16
// that follow each other in k.

#include <type_traits>
#include <utility>

#include "ops/matmul/ahead.h"
#include "ops/matmul/matmul_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {

using simd::CORRAL_ISA::F32;
using simd::CORRAL_ISA::kLanes;
using simd::CORRAL_ISA::U16;
using simd::CORRAL_ISA::U32;

struct F32Element {
  using Stored = float;
  static constexpr bool kBf16 = false;
  static F32 load(const float* at) { return simd::CORRAL_ISA::load(at); }
  static F32 load(const float* at, int64_t n) { return simd::CORRAL_ISA::load_partial(at, n); }
  static float widen(float x) { return x; }
};
struct F16Element {
  using Stored = uint16_t;
  static constexpr bool kBf16 = false;
  static F32 load(const uint16_t* at) { return simd::CORRAL_ISA::load_f16(at); }
  static F32 load(const uint16_t* at, int64_t n) {
    uint16_t aside[kLanes];
    simd::CORRAL_ISA::store(aside, simd::CORRAL_ISA::load_partial(at, n));
    return load(aside);
  }
  static float widen(uint16_t x) { return simd::CORRAL_ISA::f16_to_f32(x); }
};
struct BF16Element {
  using Stored = uint16_t;
  static constexpr bool kBf16 = true;
  static F32 load(const uint16_t* at) { return widen(simd::CORRAL_ISA::load<U16>(at)); }
  static F32 load(const uint16_t* at, int64_t n) {
    return widen(simd::CORRAL_ISA::load_partial(at, n));
  }
  static float widen(uint16_t x) { return simd::CORRAL_ISA::bf16_to_f32(x); }
  static F32 widen(U16 x) { return reinterpret_cast<F32>(__builtin_convertvector(x, U32) << 16); }
};

/// Calls f.operator()<E>() with what describes the element.
template <class F>
inline void with_element(Element element, const F& f) {
  switch (element) {
    case Element::kF32:
      return f.template operator()<F32Element>();
    case Element::kF16:
      return f.template operator()<F16Element>();
    case Element::kBF16:
      return f.template operator()<BF16Element>();
  }
}

/// f32 operands, one multiply-add a k.
struct F32Math {
  static constexpr int64_t kPerUnit = 1;  // elements of k in a unit

  static F32 madd(uint32_t a, U32 b, F32 sum) {
    const F32 a_all = reinterpret_cast<F32>(U32{} + a);
    return simd::CORRAL_ISA::fma(a_all, reinterpret_cast<F32>(b), sum);
  }
  /// kLanes units of one row; the second form of n < kLanes * kPerUnit elements, then zeros.
  template <class E, class... Count>
  static U32 along_k(const typename E::Stored* at, Count... n) {
    return reinterpret_cast<U32>(E::load(at, n...));
  }
  /// One unit of kLanes rows that lie beside each other; the second form of n < kLanes rows.
  template <class E, class... Count>
  static U32 across_rows(const typename E::Stored* at, int64_t, Count... n) {
    return reinterpret_cast<U32>(E::load(at, n...));
  }
  static U32 from_floats(const float* values) { return simd::CORRAL_ISA::load<U32>(values); }
};

#if defined(__AVX512BF16__)

/// bf16 operands, one vdpbf16ps a pair of k. It takes denormal operands for zero and gives zero for
/// denormal sums.
struct BF16Math {
  static constexpr int64_t kPerUnit = 2;

  static F32 madd(uint32_t a, U32 b, F32 sum) {
    const U32 a_all = U32{} + a;
    return reinterpret_cast<F32>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                  reinterpret_cast<__m512bh>(a_all),
                                                  reinterpret_cast<__m512bh>(b)));
  }
  template <class E>
  static U32 along_k(const typename E::Stored* at) {
    if constexpr (std::is_same_v<E, BF16Element>) {
      return simd::CORRAL_ISA::load<U32>(at);
    } else {
      return rounded(E::load(at), E::load(at + kLanes));
    }
  }
  template <class E>
  static U32 along_k(const typename E::Stored* at, int64_t n) {
    const int64_t low = simd::CORRAL_ISA::min(n, int64_t{kLanes});
    return rounded(E::load(at, low), E::load(at + low, n - low));
  }
  template <class E>
  static U32 across_rows(const typename E::Stored* at, int64_t k_stride) {
    if constexpr (std::is_same_v<E, BF16Element>) {
      return pairs(
          join(simd::CORRAL_ISA::load<U16>(at), simd::CORRAL_ISA::load<U16>(at + k_stride)));
    } else {
      return pairs(rounded(E::load(at), E::load(at + k_stride)));
    }
  }
  template <class E>
  static U32 across_rows(const typename E::Stored* at, int64_t k_stride, int64_t n) {
    return pairs(rounded(E::load(at, n), E::load(at + k_stride, n)));
  }
  /// 2 * kLanes floats in the order of k.
  static U32 from_floats(const float* values) { return along_k<F32Element>(values); }

 private:
  typedef uint16_t U16x2 __attribute__((vector_size(sizeof(U32))));

  /// bf16 of all lanes of a, then of b. Exact for what was bf16.
  static U32 rounded(F32 a, F32 b) {
    return reinterpret_cast<U32>(
        _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(a)));
  }
  static U32 join(U16 a, U16 b) {
    return join(a, b, std::make_integer_sequence<int, 2 * kLanes>());
  }
  template <int... j>
  static U32 join(U16 a, U16 b, std::integer_sequence<int, j...>) {
    return reinterpret_cast<U32>(__builtin_shufflevector(a, b, j...));
  }
  /// a0 b0 a1 b1 ... of a0 a1 ... b0 b1 ...
  static U32 pairs(U32 halves) {
    return pairs(reinterpret_cast<U16x2>(halves), std::make_integer_sequence<int, 2 * kLanes>());
  }
  template <int... j>
  static U32 pairs(U16x2 halves, std::integer_sequence<int, j...>) {
    return reinterpret_cast<U32>(
        __builtin_shufflevector(halves, halves, (j % 2 * kLanes + j / 2)...));
  }
};

#else

/// bf16 operands without bf16 instructions: rounded, then multiplied as f32.
struct BF16Math : F32Math {
  template <class E, class... Count>
  static U32 along_k(const typename E::Stored* at, Count... n) {
    return rounded(E::load(at, n...));
  }
  template <class E, class... Count>
  static U32 across_rows(const typename E::Stored* at, int64_t, Count... n) {
    return rounded(E::load(at, n...));
  }
  static U32 from_floats(const float* values) { return rounded(simd::CORRAL_ISA::load(values)); }

 private:
  static U32 rounded(F32 v) {
    const U32 bits = reinterpret_cast<U32>(v);
    const U32 up = (bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u;
    return v != v ? (bits | 0x00400000u) & 0xFFFF0000u : up;
  }
};

#endif

/// Shuffles of two vectors a, b as index patterns. Low<g>, High<g>: in each 128 bits the first or
/// the second half of the elements of a and b, alternating g at a time. Even, Odd: the 128-bit
/// parts of that parity of a, then of b.
template <int Granularity, bool Second>
struct Interleave {
  static constexpr int index(int j) {
    const int from = j / Granularity % 2;  // a or b
    const int element = j % 4 / 2 / Granularity * Granularity + j % Granularity + (Second ? 2 : 0);
    return from * kLanes + j / 4 * 4 + element;
  }
};
template <bool Second>
struct Part {
  static constexpr int index(int j) {
    const int part = j / 4 * 2 + (Second ? 1 : 0);
    return part * 4 + j % 4;  // parts of b follow those of a
  }
};
template <class Pattern, int... j>
U32 shuffle(U32 a, U32 b, std::integer_sequence<int, j...>) {
  return __builtin_shufflevector(a, b, Pattern::index(j)...);
}
template <class Pattern>
U32 shuffle(U32 a, U32 b) {
  return shuffle<Pattern>(a, b, std::make_integer_sequence<int, kLanes>());
}

/// Exchanges rows and columns of a kLanes x kLanes block of units.
inline void transpose(U32 (&v)[kLanes]) {
  U32 pairs[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    pairs[i] = shuffle<Interleave<1, false>>(v[i], v[i + 1]);
    pairs[i + 1] = shuffle<Interleave<1, true>>(v[i], v[i + 1]);
  }
  // quads[4 g + c]: part l holds column 4 l + c of rows 4 g to 4 g + 3.
  U32 quads[kLanes];
  for (int i = 0; i < kLanes; i += 4) {
    quads[i] = shuffle<Interleave<2, false>>(pairs[i], pairs[i + 2]);
    quads[i + 1] = shuffle<Interleave<2, true>>(pairs[i], pairs[i + 2]);
    quads[i + 2] = shuffle<Interleave<2, false>>(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = shuffle<Interleave<2, true>>(pairs[i + 1], pairs[i + 3]);
  }
  using Even = Part<false>;
  using Odd = Part<true>;
  for (int c = 0; c < 4; ++c) {
    if constexpr (kLanes == 4) {
      v[c] = quads[c];
    } else if constexpr (kLanes == 8) {
      v[c] = shuffle<Even>(quads[c], quads[c + 4]);
      v[c + 4] = shuffle<Odd>(quads[c], quads[c + 4]);
    } else {
      const U32 even_low = shuffle<Even>(quads[c], quads[c + 4]);
      const U32 even_high = shuffle<Even>(quads[c + 8], quads[c + 12]);
      const U32 odd_low = shuffle<Odd>(quads[c], quads[c + 4]);
      const U32 odd_high = shuffle<Odd>(quads[c + 8], quads[c + 12]);
      v[c] = shuffle<Even>(even_low, even_high);
      v[c + 4] = shuffle<Even>(odd_low, odd_high);
      v[c + 8] = shuffle<Odd>(even_low, even_high);
      v[c + 12] = shuffle<Odd>(odd_low, odd_high);
    }
  }
}

/// Reads units of a factor whose rows have k_total elements; rows and k beyond its end are zeros.
template <class Math, class E>
class UnitReader {
 public:
  using Stored = typename E::Stored;
  static constexpr bool kInPlace = false;  // whether there are panels in memory

  UnitReader(const Factor& factor, int64_t rows, int64_t k_total)
      : data_(static_cast<const Stored*>(factor.data)),
        row_stride_(factor.row_stride),
        k_stride_(factor.k_stride),
        rows_(rows),
        k_total_(k_total) {}

  /// Rows lie in memory along k, so that along_k is the fast way of reading.
  bool k_contiguous() const { return k_stride_ == 1; }
  /// How many of the units [unit, unit + units) there are.
  int64_t units_from(int64_t unit, int64_t units) const {
    const int64_t all = (k_total_ + Math::kPerUnit - 1) / Math::kPerUnit;
    return simd::CORRAL_ISA::min(units, all - unit);
  }
  int64_t row_bytes() const { return row_stride_ * static_cast<int64_t>(sizeof(Stored)); }

  /// Whether row follows on row without a gap.
  bool rows_in_order() const { return k_contiguous() && row_stride_ == k_total_; }

  /// Asks for the memory of a unit, which need not exist, into the level-2 cache.
  void prefetch(int64_t row, int64_t unit) const { __builtin_prefetch(address(row, unit), 0, 2); }
  /// Units, each so many rows and units behind the one before, to ask for into the level-1 cache.
  struct UnitsAhead {
    const char* at;
    int64_t step_bytes;
    void prefetch(int64_t i) const { __builtin_prefetch(at + i * step_bytes, 0, 3); }
  };
  UnitsAhead units_ahead(int64_t row, int64_t unit, int64_t rows, int64_t units) const {
    const char* at = address(row, unit);
    return {at, address(row + rows, unit + units) - at};
  }

  /// Where units [unit, unit + units) of rows [row, row + rows) lie; empty when they lie scattered.
  Lines memory(int64_t row, int64_t rows, int64_t unit, int64_t units) const {
    constexpr int64_t width = sizeof(Stored);
    const int64_t k = unit * Math::kPerUnit;
    const int64_t depth = simd::CORRAL_ISA::min(units * Math::kPerUnit, k_total_ - k);
    const auto lines = [](int64_t n) { return (n * width + kLineBytes - 1) / kLineBytes; };
    const auto* at = reinterpret_cast<const char*>(data_ + row * row_stride_ + k * k_stride_);
    if (k_stride_ == 1) return {at, rows, row_stride_ * width, lines(depth)};
    if (row_stride_ == 1) return {at, depth, k_stride_ * width, lines(rows)};
    return {at, 0, 0, 0};
  }

  /// Units [unit, unit + kLanes) of a row.
  U32 along_k(int64_t row, int64_t unit) const {
    const int64_t k = unit * Math::kPerUnit;
    constexpr int64_t count = kLanes * Math::kPerUnit;
    if (row >= rows_ || k >= k_total_) return U32{};
    if (k_stride_ == 1) {
      const Stored* at = data_ + row * row_stride_ + k;
      if (k + count <= k_total_) return Math::template along_k<E>(at);
      return Math::template along_k<E>(at, k_total_ - k);
    }
    float values[static_cast<size_t>(count)];
    for (int64_t i = 0; i < count; ++i) values[i] = value(row, k + i);
    return Math::from_floats(values);
  }

  /// Units [unit, unit + units) of `rows` rows all exist and lie along k.
  bool inside_along_k(int64_t row, int64_t rows, int64_t unit, int64_t units) const {
    return k_stride_ == 1 && row + rows <= rows_ && (unit + units) * Math::kPerUnit <= k_total_;
  }
  /// along_k() of units that are inside_along_k().
  U32 along_k_inside(int64_t row, int64_t unit) const {
    return Math::template along_k<E>(data_ + row * row_stride_ + unit * Math::kPerUnit);
  }

  /// Words of two units each, from the unit `unit` on, which all exist.
  static constexpr bool kBf16Pairs = E::kBf16 && Math::kPerUnit == 1;
  U32 pairs_along_k(int64_t row, int64_t unit) const {
    if (row >= rows_) return U32{};
    return pairs_along_k_inside(row, unit);
  }
  /// The same of a row that exists.
  U32 pairs_along_k_inside(int64_t row, int64_t unit) const {
    return simd::CORRAL_ISA::load<U32>(data_ + row * row_stride_ + unit);
  }

  /// Neither rows nor k end in these units, and rows lie beside each other.
  bool inside(int64_t row, int64_t rows, int64_t unit, int64_t units) const {
    return row_stride_ == 1 && row + rows <= rows_ && (unit + units) * Math::kPerUnit <= k_total_;
  }
  /// across_rows() of units that are inside().
  U32 across_inside(int64_t row, int64_t unit) const {
    return Math::template across_rows<E>(data_ + row + unit * Math::kPerUnit * k_stride_,
                                         k_stride_);
  }

  /// One unit of rows [row, row + kLanes).
  U32 across_rows(int64_t row, int64_t unit) const {
    const int64_t k = unit * Math::kPerUnit;
    if (row >= rows_ || k >= k_total_) return U32{};
    if (row_stride_ == 1 && k + Math::kPerUnit <= k_total_) {
      const Stored* at = data_ + row + k * k_stride_;
      if (row + kLanes <= rows_) return Math::template across_rows<E>(at, k_stride_);
      return Math::template across_rows<E>(at, k_stride_, rows_ - row);
    }
    constexpr int64_t count = kLanes * Math::kPerUnit;
    float values[static_cast<size_t>(count)];
    for (int64_t i = 0; i < count; ++i) {
      values[i] = value(row + i / Math::kPerUnit, k + i % Math::kPerUnit);
    }
    return Math::from_floats(values);
  }

  /// An element as a float.
  float value(int64_t row, int64_t k) const {
    if (row >= rows_ || k >= k_total_) return 0;
    return E::widen(data_[row * row_stride_ + k * k_stride_]);
  }

 private:
  const char* address(int64_t row, int64_t unit) const {
    const int64_t element = row * row_stride_ + unit * Math::kPerUnit * k_stride_;
    return reinterpret_cast<const char*>(data_) + element * static_cast<int64_t>(sizeof(Stored));
  }

  const Stored* data_;
  int64_t row_stride_;
  int64_t k_stride_;
  int64_t rows_;
  int64_t k_total_;
};

/// to[row][unit] = units [first, first + units) of `rows` rows; rows are `stride` units apart, with
/// room for units rounded up to kLanes.
template <class Reader>
void pack_rows(const Reader& from, int64_t row0, int64_t rows, int64_t first, int64_t units,
               int64_t stride, uint32_t* to) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t u = 0; u < units; u += kLanes) {
      simd::CORRAL_ISA::store(to + r * stride + u, from.along_k(row0 + r, first + u));
    }
  }
}

/// to[strip][unit][row]: strips of `height` rows, at most kLanes, `stride` units apart and with
/// room for kLanes units behind the last. Strip by strip: stores that follow one another in memory
/// are what the level-1 cache takes without waiting.
template <class Reader>
void pack_strips(const Reader& from, int64_t row0, int64_t rows, int64_t first, int64_t units,
                 int64_t height, int64_t stride, uint32_t* to) {
  for (int64_t r = 0; r < rows; r += height, to += stride) {
    // Each store writes kLanes units; those behind the strip's height are overwritten by the next.
    if (from.inside(row0 + r, kLanes, first, units)) {
      for (int64_t u = 0; u < units; ++u) {
        simd::CORRAL_ISA::store(to + u * height, from.across_inside(row0 + r, first + u));
      }
    } else {
      for (int64_t u = 0; u < units; ++u) {
        simd::CORRAL_ISA::store(to + u * height, from.across_rows(row0 + r, first + u));
      }
    }
  }
}

/// to[unit][row] = the same for kLanes * vectors rows, vectors of rows side by side. There must be
/// room for units rounded up to kLanes.
template <class Reader>
void pack_panel(const Reader& from, int64_t row0, int64_t vectors, int64_t first, int64_t units,
                uint32_t* to) {
  const int64_t width = vectors * kLanes;
  if (!from.k_contiguous() && vectors == 2 && from.inside(row0, width, first, units)) {
    for (int64_t u = 0; u < units; ++u) {
      simd::CORRAL_ISA::store(to + u * width, from.across_inside(row0, first + u));
      simd::CORRAL_ISA::store(to + u * width + kLanes,
                              from.across_inside(row0 + kLanes, first + u));
    }
    return;
  }
  for (int64_t v = 0; v < vectors; ++v) {
    const int64_t row = row0 + v * kLanes;
    uint32_t* column = to + v * kLanes;
    if (!from.k_contiguous()) {
      for (int64_t u = 0; u < units; ++u) {
        simd::CORRAL_ISA::store(column + u * width, from.across_rows(row, first + u));
      }
      continue;
    }
    for (int64_t u = 0; u < units; u += kLanes) {
      U32 block[kLanes];
      if (from.inside_along_k(row, kLanes, first + u, kLanes)) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) block[i] = from.along_k_inside(row + i, first + u);
      } else {
        for (int i = 0; i < kLanes; ++i) block[i] = from.along_k(row + i, first + u);
      }
      transpose(block);
      for (int i = 0; i < kLanes; ++i) simd::CORRAL_ISA::store(column + (u + i) * width, block[i]);
    }
  }
}

}  // namespace corral::ops::CORRAL_ISA
