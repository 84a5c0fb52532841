#include "ops/balance_loss/balance_loss_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

// Lanes behind the last expert: their sigmoid is 0.
constexpr float kNoExpert = -__builtin_inff();

F32 load_some(const float* at, int64_t n, float fill) {
  return n >= v::kLanes ? v::load(at) : v::load_partial(at, n, fill);
}

void store_some(float* at, F32 x, int64_t n) {
  if (n >= v::kLanes) return v::store(at, x);
  v::store_partial(at, x, n);
}

/// sigmoid(l) / e^shift = e^(min(l, 0) - shift) / (1 + e^-|l|), with shift = min(max logit, 0): the
/// largest of a token is at least 1/2, so their sum never underflows.
F32 shifted_sigmoid(F32 l, float shift) {
  return v::exp((l < 0 ? l : F32{}) - shift) / (1.0f + v::exp(l < 0 ? l : -l));
}

void probabilities(const float* logits, float* probability, int64_t E) {
  F32 largest = v::set1(kNoExpert);
  for (int64_t e = 0; e < E; e += v::kLanes) {
    largest = v::max(largest, load_some(logits + e, E - e, kNoExpert));
  }
  // Below the floor all logits are -inf (or no number): 0 / 0 stays visible as NaN.
  const float shift = v::min(v::max_lane(largest), 0.0f);
  F32 sums{};
  for (int64_t e = 0; e < E; e += v::kLanes) {
    const F32 s = shifted_sigmoid(load_some(logits + e, E - e, kNoExpert), shift);
    sums = sums + s;
    store_some(probability + e, s, E - e);
  }
  const float sum = v::sum(sums);
  for (int64_t e = 0; e < E; ++e) probability[e] /= sum;
}

void backward(const float* dy, const float* logits, const float* load, float scale, float* dlogits,
              int64_t rows, int64_t E) {
  for (int64_t t = 0; t < rows; ++t, dy += E, logits += E, dlogits += E) {
    probabilities(logits, dlogits, E);
    F32 means{};
    for (int64_t e = 0; e < E; e += v::kLanes) {
      means = v::fma(load_some(dlogits + e, E - e, 0), load_some(load + e, E - e, 0), means);
    }
    const float mean = v::sum(means);
    for (int64_t e = 0; e < E; e += v::kLanes) {
      const F32 p = load_some(dlogits + e, E - e, 0);
      const F32 down = v::sigmoid(-load_some(logits + e, E - e, 0));
      const F32 slope = (load_some(load + e, E - e, 0) - mean) * scale;
      store_some(dlogits + e, v::fma(p * down, slope, load_some(dy + e, E - e, 0)), E - e);
    }
  }
}

}  // namespace

const BalanceLossKernel kBalanceLoss = {probabilities, backward};

}  // namespace corral::ops::CORRAL_ISA
