#include "ops/cross_entropy/cross_entropy_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

// Lanes behind the last logit: they never are the largest, and e to them is 0.
constexpr float kNone = -__builtin_inff();

float largest(const float* logits, int64_t V) {
  F32 best[2] = {v::set1(kNone), v::set1(kNone)};
  int64_t i = 0;
  for (; i + 2 * v::kLanes <= V; i += 2 * v::kLanes) {
    best[0] = v::max(v::load(logits + i), best[0]);
    best[1] = v::max(v::load(logits + i + v::kLanes), best[1]);
  }
  for (; i < V; i += v::kLanes) {
    best[0] =
        v::max(v::load_partial(logits + i, v::min(V - i, int64_t{v::kLanes}), kNone), best[0]);
  }
  return v::max_lane(v::max(best[0], best[1]));
}

/// Sum of e^(l - shift); with kKeep each term takes its logit's place.
template <bool kKeep>
float exp_sum(const float* logits, float* kept, int64_t V, float shift) {
  F32 sums[2] = {};
  int64_t i = 0;
  for (; i + 2 * v::kLanes <= V; i += 2 * v::kLanes) {
    for (int j = 0; j < 2; ++j) {
      const int64_t at = i + j * v::kLanes;
      const F32 e = v::exp(v::load(logits + at) - shift);
      if (kKeep) v::store(kept + at, e);
      sums[j] = sums[j] + e;
    }
  }
  for (; i < V; i += v::kLanes) {
    const int64_t n = v::min(V - i, int64_t{v::kLanes});
    const F32 e = v::exp(v::load_partial(logits + i, n, kNone) - shift);
    if (kKeep) v::store_partial(kept + i, e, n);
    sums[0] = sums[0] + e;
  }
  return v::sum(sums[0] + sums[1]);
}

RowLoss forward(const float* logits, int64_t V, int32_t target) {
  const float shift = largest(logits, V);
  const float log_sum = __builtin_logf(exp_sum<false>(logits, nullptr, V, shift));
  return {shift - logits[target] + log_sum, shift + log_sum};
}

RowLoss gradient(float* logits, int64_t V, int32_t target, float scale, float z_loss) {
  const float shift = largest(logits, V);
  const float at_target = logits[target];
  const float sum = exp_sum<true>(logits, logits, V, shift);
  const float log_sum = __builtin_logf(sum);
  const float z = shift + log_sum;
  const float factor = scale * (1.0f + 2.0f * z_loss * z) / sum;
  int64_t i = 0;
  for (; i + v::kLanes <= V; i += v::kLanes) v::store(logits + i, v::load(logits + i) * factor);
  for (; i < V; ++i) logits[i] *= factor;
  logits[target] -= scale;
  return {shift - at_target + log_sum, z};
}

}  // namespace

const CrossEntropyKernel kCrossEntropy = {forward, gradient};

}  // namespace corral::ops::CORRAL_ISA
