#include "simd/vec.h"
#include "tensor/peak_kernel.h"

namespace corral::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::F32;
using simd::CORRAL_ISA::kLanes;

// Enough independent chains to hide the latency of the multiply-add in both of its units, few
// enough to stay in registers.
constexpr int kChains = 12;

double f32(int64_t rounds, float* sink) {
  F32 sums[kChains];
  // Chains that began alike would be merged into one.
  for (int c = 0; c < kChains; ++c)
    sums[c] = simd::CORRAL_ISA::set1(sink[2] + static_cast<float>(c));
  const F32 a = simd::CORRAL_ISA::set1(sink[0]);
  const F32 b = simd::CORRAL_ISA::set1(sink[1]);
  for (int64_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < kChains; ++c) sums[c] = simd::CORRAL_ISA::fma(a, b, sums[c]);
  }
  F32 total{};
  for (int c = 0; c < kChains; ++c) total = total + sums[c];
  sink[2] = simd::CORRAL_ISA::sum(total);
  return 2.0 * kLanes * kChains * static_cast<double>(rounds);
}

#if defined(__AVX512BF16__)
double bf16(int64_t rounds, float* sink) {
  __m512 sums[kChains];
  for (int c = 0; c < kChains; ++c) sums[c] = _mm512_set1_ps(sink[2] + static_cast<float>(c));
  __m512bh a;
  __m512bh b;
  const F32 wide_a = simd::CORRAL_ISA::set1(sink[0]);
  const F32 wide_b = simd::CORRAL_ISA::set1(sink[1]);
  std::memcpy(&a, &wide_a, sizeof(a));
  std::memcpy(&b, &wide_b, sizeof(b));
  for (int64_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < kChains; ++c) sums[c] = _mm512_dpbf16_ps(sums[c], a, b);
  }
  F32 total{};
  for (int c = 0; c < kChains; ++c) total = total + reinterpret_cast<F32>(sums[c]);
  sink[2] = simd::CORRAL_ISA::sum(total);
  return 2.0 * 2.0 * kLanes * kChains * static_cast<double>(rounds);
}
#else
constexpr PeakKernel bf16 = f32;
#endif

#if defined(CORRAL_DPBUSD)
double int8(int64_t rounds, float* sink) {
  using simd::CORRAL_ISA::I32;
  I32 sums[kChains];
  for (int c = 0; c < kChains; ++c) sums[c] = I32{} + c;
  const I32 a = I32{} + static_cast<int32_t>(sink[0]);
  const I32 b = I32{} + static_cast<int32_t>(sink[1] * 1000);
  for (int64_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < kChains; ++c) sums[c] = simd::CORRAL_ISA::dpbusd(sums[c], a, b);
  }
  I32 total = sums[0];
  for (int c = 1; c < kChains; ++c) total += sums[c];
  sink[2] = static_cast<float>(total[0]);
  return 2.0 * 4.0 * kLanes * kChains * static_cast<double>(rounds);
}
#elif defined(__AVX2__)
/// add(sum, products), of which two are summed to 16 bits each.
template <class Add>
double int8_chains(int64_t rounds, float* sink, const Add& add) {
  __m256i sums[kChains];
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) sums[c] = _mm256_set1_epi32(c);
  const __m256i a = _mm256_set1_epi32(static_cast<int32_t>(sink[0]));
  __m256i b = _mm256_set1_epi32(static_cast<int32_t>(sink[1] * 1000));
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      sums[c] = add(sums[c], _mm256_maddubs_epi16(a, b));
      // Or one product would do for all, and all be made before they are added.
      asm("" : "+x"(sums[c]), "+x"(b));
    }
  }
  __m256i total = _mm256_setzero_si256();
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) total = _mm256_add_epi32(total, sums[c]);
  sink[2] = static_cast<float>(_mm256_extract_epi32(total, 0));
  return 2.0 * 4.0 * kLanes * kChains * static_cast<double>(rounds);
}
double int8(int64_t rounds, float* sink) {
  return int8_chains(rounds, sink, [](__m256i sum, __m256i pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  });
}
/// Eight of them have room in 16 bits; what becomes of these then costs little beside.
double int4(int64_t rounds, float* sink) {
  return int8_chains(rounds, sink,
                     [](__m256i sum, __m256i pairs) { return _mm256_add_epi16(sum, pairs); });
}
#elif defined(__ARM_FEATURE_DOTPROD)
double int8(int64_t rounds, float* sink) {
  int32x4_t sums[kChains];
  for (int c = 0; c < kChains; ++c) sums[c] = vdupq_n_s32(c);
  const int8x16_t a = vdupq_n_s8(static_cast<int8_t>(sink[0]));
  const int8x16_t b = vdupq_n_s8(static_cast<int8_t>(sink[1] * 1000));
  for (int64_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < kChains; ++c) sums[c] = vdotq_s32(sums[c], a, b);
  }
  int32x4_t total = sums[0];
  for (int c = 1; c < kChains; ++c) total = vaddq_s32(total, sums[c]);
  sink[2] = static_cast<float>(vgetq_lane_s32(total, 0));
  return 2.0 * 4.0 * kLanes * kChains * static_cast<double>(rounds);
}
#else
constexpr PeakKernel int8 = f32;
#endif

}  // namespace

extern const PeakKernels kPeak;
#if defined(__AVX2__) && !defined(CORRAL_DPBUSD)
const PeakKernels kPeak = {f32, bf16, int8, int4};
#else
const PeakKernels kPeak = {f32, bf16, int8, int8};
#endif

}  // namespace corral::CORRAL_ISA
