#include "simd/vec.h"
#include "train/adamw_kernel.h"

namespace corral::train::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::F32;
using simd::CORRAL_ISA::fma;
using simd::CORRAL_ISA::kLanes;
using simd::CORRAL_ISA::load;
using simd::CORRAL_ISA::load_partial;
using simd::CORRAL_ISA::set1;
using simd::CORRAL_ISA::store;
using simd::CORRAL_ISA::store_partial;

inline F32 sqrt(F32 x) {
#if defined(__AVX512F__)
  // The unmasked form is made of an uninitialised vector, of which g++ 12 warns.
  return reinterpret_cast<F32>(_mm512_maskz_sqrt_ps(0xFFFF, reinterpret_cast<__m512>(x)));
#elif defined(__AVX2__)
  return reinterpret_cast<F32>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
#else
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

struct Element {
  F32 p, m, v;
};

inline Element update(const AdamwStep& s, Element e, F32 g) {
  g = g * s.gradient_scale;
  e.m = fma(set1(s.beta1), e.m, g * s.one_minus_beta1);
  e.v = fma(set1(s.beta2), e.v, g * g * s.one_minus_beta2);
  const F32 divisor = fma(sqrt(e.v), set1(s.inverse_root_of_bias), set1(s.epsilon));
  e.p = fma(set1(-s.step_size), e.m / divisor, e.p * s.keep);
  return e;
}

void adamw(const AdamwStep& step, float* p, float* m, float* v, const float* g, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Element e = update(step, {load(p + i), load(m + i), load(v + i)}, load(g + i));
    store(p + i, e.p);
    store(m + i, e.m);
    store(v + i, e.v);
  }
  if (i == n) return;
  const int64_t rest = n - i;
  const Element e = update(
      step, {load_partial(p + i, rest), load_partial(m + i, rest), load_partial(v + i, rest)},
      load_partial(g + i, rest));
  store_partial(p + i, e.p, rest);
  store_partial(m + i, e.m, rest);
  store_partial(v + i, e.v, rest);
}

}  // namespace

extern const AdamwKernel kAdamw;
const AdamwKernel kAdamw = adamw;

}  // namespace corral::train::CORRAL_ISA
