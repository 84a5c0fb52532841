#include "ops/dispatch/dispatch_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

/// to = s * from, or to += s * from.
void scale_row(float s, const float* from, float* to, int64_t D, bool accumulate) {
  int64_t d = 0;
  for (; d + v::kLanes <= D; d += v::kLanes) {
    const F32 scaled = v::load(from + d) * s;
    v::store(to + d, accumulate ? v::load(to + d) + scaled : scaled);
  }
  for (; d < D; ++d) to[d] = accumulate ? to[d] + from[d] * s : from[d] * s;
}

float dot(const float* a, const float* b, int64_t D) {
  F32 sums[2] = {};
  int64_t d = 0;
  for (; d + 2 * v::kLanes <= D; d += 2 * v::kLanes) {
    sums[0] = v::fma(v::load(a + d), v::load(b + d), sums[0]);
    sums[1] = v::fma(v::load(a + d + v::kLanes), v::load(b + d + v::kLanes), sums[1]);
  }
  for (; d + v::kLanes <= D; d += v::kLanes) {
    sums[0] = v::fma(v::load(a + d), v::load(b + d), sums[0]);
  }
  float sum = v::sum(sums[0] + sums[1]);
  for (; d < D; ++d) sum = v::fma(a[d], b[d], sum);
  return sum;
}

float score(float logit) { return v::sigmoid(v::set1(logit))[0]; }

void forward(const DispatchArgs& args, float* rows, int64_t begin, int64_t end) {
  for (int64_t i = begin * args.K; i < end * args.K; ++i) {
    const int64_t t = i / args.K;
    const float s = score(args.logits[t * args.E + args.expert_TK[i]]);
    scale_row(s, args.x + t * args.D, rows + args.row_of_TK[i] * args.D, args.D, false);
  }
}

void backward(const DispatchArgs& args, const float* drows, float* dx, float* dlogits,
              int64_t begin, int64_t end) {
  for (int64_t i = begin * args.K; i < end * args.K; ++i) {
    const int64_t t = i / args.K;
    const int64_t logit = t * args.E + args.expert_TK[i];
    const float s = score(args.logits[logit]);
    const float* g = drows + args.row_of_TK[i] * args.D;
    if (dx != nullptr) scale_row(s, g, dx + t * args.D, args.D, i % args.K != 0);
    if (dlogits != nullptr) dlogits[logit] += s * (1.0f - s) * dot(g, args.x + t * args.D, args.D);
  }
}

}  // namespace

const DispatchKernel kDispatch = {forward, backward};

}  // namespace corral::ops::CORRAL_ISA
