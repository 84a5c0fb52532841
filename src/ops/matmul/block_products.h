#pragma once

// Products of bytes and their sums. For *_isa.cc files.

#include "ops/matmul/block_vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// sum + the products of four neighbouring bytes, exact. kWide: b is signed (two's complement) and
// uses the whole byte; otherwise b is below 64.
#if defined(CORRAL_DPBUSD)
/// The instruction multiplies unsigned by signed bytes: what is added to b to make it unsigned is
/// taken back by the sum that A brings along.
inline constexpr int kWideOffset = 128;
inline Bytes wide(const Bytes& b) {
  return each<Bytes>([&](int i) { return b.part[i] ^ 0x80; });
}
template <bool kWide>
inline I32 dot4(I32 sum, U8 b, U8 a) {
  return simd::CORRAL_ISA::dpbusd(sum, reinterpret_cast<I32>(b), reinterpret_cast<I32>(a));
}
#elif defined(__AVX2__)
inline constexpr int kWideOffset = 0;
inline Bytes wide(const Bytes& b) { return b; }
/// The sign of b moves over to a: two products stay within 2 * 128 * 127, which 16 bits hold.
template <bool kWide>
inline I32 dot4(I32 sum, U8 b, U8 a) {
  __m256i left = reinterpret_cast<__m256i>(b);
  __m256i right = reinterpret_cast<__m256i>(a);
  if constexpr (kWide) {
    right = _mm256_sign_epi8(right, left);
    left = _mm256_abs_epi8(left);
  }
  const __m256i pairs = _mm256_maddubs_epi16(left, right);
  return sum + reinterpret_cast<I32>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#elif defined(__ARM_NEON)
inline constexpr int kWideOffset = 0;
inline Bytes wide(const Bytes& b) { return b; }
template <bool kWide>
inline I32 dot4(I32 sum, U8 b, U8 a) {
  const auto left = reinterpret_cast<int8x16_t>(b);
  const auto right = reinterpret_cast<int8x16_t>(a);
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sum, left, right);
#else
  // Two products stay within 2 * 128 * 127, which 16 bits hold.
  const int16x8_t low = vmull_s8(vget_low_s8(left), vget_low_s8(right));
  return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(left, right)));
#endif
}
#else
inline constexpr int kWideOffset = 0;
inline Bytes wide(const Bytes& b) { return b; }
template <bool kWide>
inline I32 dot4(I32 sum, U8 b, U8 a) {
  for (int lane = 0; lane < simd::CORRAL_ISA::kLanes; ++lane) {
    int32_t products = 0;
    for (int i = 4 * lane; i < 4 * lane + 4; ++i) {
      const int32_t left = kWide ? int32_t{static_cast<int8_t>(b[i])} : int32_t{b[i]};
      products += left * int32_t{static_cast<int8_t>(a[i])};
    }
    sum[lane] += products;
  }
  return sum;
}
#endif

template <bool kWide>
inline Ints dot4(const Ints& sum, const Bytes& b, const Bytes& a) {
  return each<Ints>([&](int i) { return dot4<kWide>(sum.part[i], b.part[i], a.part[i]); });
}

/// Keeps the order of integer sums: compilers add what they may in an order of their own, and hold
/// more of it than there are registers for.
template <class V>
inline void in_order(V& sum) {
#if defined(__AVX2__) && !defined(CORRAL_DPBUSD)
  asm("" : "+x"(sum));
#else
  static_cast<void>(sum);
#endif
}

/// Sums of dot4: begun with what they are added to or ended with it, whichever costs less. That is
/// BlockRows::start, of rows of A that quantize() left.
template <bool kWide>
struct Products {
  using Sum = I32;
  /// Whether begin() takes what they are added to, end() otherwise.
#if defined(__AVX2__) && !defined(CORRAL_DPBUSD)
  static constexpr bool kBeginWith = false;
#else
  static constexpr bool kBeginWith = true;
#endif
  static Sum begin(I32 with) { return kBeginWith ? with : I32{}; }
  static Sum add(Sum sum, U8 b, U8 a) {
    sum = dot4<kWide>(sum, b, a);
    in_order(sum);
    return sum;
  }
  static I32 end(Sum sum, I32 with) { return kBeginWith ? sum : sum + with; }

  /// Whether a start is two numbers, one for the first two bytes of every four and one for the
  /// others, in the low and the high half of its bits.
  static constexpr bool kTwoStarts = false;
  static int32_t total(int32_t start) { return start; }
};

/// The same in all lanes.
template <class Of>
struct AllProducts {
  typename Of::Sum part[kParts];

  void begin(const Ints& with) {
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) part[i] = Of::begin(with.part[i]);
  }
  void add(const Bytes& b, const Bytes& a) {
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) part[i] = Of::add(part[i], b.part[i], a.part[i]);
  }
  Ints end(const Ints& with) const {
    return each<Ints>([&](int i) { return Of::end(part[i], with.part[i]); });
  }
};

/// How many words, of a group's eight, a sum has room for where no byte of b is above `largest` and
/// `offset` is taken from each: only the end has to fit, as what runs over on the way comes back.
#if defined(__AVX2__) && !defined(CORRAL_DPBUSD)
constexpr int64_t words_of_sum(int largest, int offset) {
  const int magnitude = largest - offset > offset ? largest - offset : offset;
  const int products = 32767 / (127 * magnitude);
  return largest > 63 || products >= 16 ? 8 : products >= 8 ? 4 : 2;
}

/// Products of narrow bytes are added in 16 bits, two of a word to each number.
template <>
struct Products<false> {
  // Unsigned: they run over on the way, and of columns that have no row of B, which nobody uses.
  typedef uint16_t Sum __attribute__((vector_size(32)));
  static constexpr bool kBeginWith = false;
  static Sum begin(I32) { return Sum{}; }
  static Sum add(Sum sum, U8 b, U8 a) {
    sum += reinterpret_cast<Sum>(
        _mm256_maddubs_epi16(reinterpret_cast<__m256i>(b), reinterpret_cast<__m256i>(a)));
    in_order(sum);
    return sum;
  }
  static I32 end(Sum sum, I32 with) {
    return reinterpret_cast<I32>(_mm256_madd_epi16(
        reinterpret_cast<__m256i>(sum + reinterpret_cast<Sum>(with)), _mm256_set1_epi16(1)));
  }

  static constexpr bool kTwoStarts = true;
  static int32_t total(int32_t start) { return static_cast<int16_t>(start) + (start >> 16); }
};
#else
constexpr int64_t words_of_sum(int, int) { return 8; }
#endif

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
