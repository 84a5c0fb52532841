#include "ops/balance_loss/balance_loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/tape.h"
#include "ops/balance_loss/balance_loss_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 12;  // logits

const BalanceLossKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kBalanceLoss, avx2::kBalanceLoss,
                      avx512::kBalanceLoss);
}

void check(const Tensor& logits_TE, std::span<const double> load_fraction_E, double coefficient,
           int64_t global_tokens) {
  if (logits_TE.rank() != 2 || logits_TE.dim(1) != static_cast<int64_t>(load_fraction_E.size())) {
    throw ShapeError(str("balance_loss: logits are ", logits_TE.shape(), ", needs [T, ",
                         load_fraction_E.size(), "]"));
  }
  if (logits_TE.dtype() != DType::kF32) {
    throw NotSupported(str("balance_loss: logits are ", logits_TE.dtype(), ", needs f32"));
  }
  if (!std::isfinite(coefficient) || global_tokens < 1) {
    throw Error(str("balance_loss: coefficient ", coefficient, " over ", global_tokens,
                    " tokens, needs a number and at least one token"));
  }
}

}  // namespace

Tensor balance_loss(const Tensor& logits_TE, std::span<const double> load_fraction_E,
                    double coefficient, int64_t global_tokens) {
  check(logits_TE, load_fraction_E, coefficient, global_tokens);
  if (!autograd::recording({logits_TE})) return logits_TE;
  const int64_t E = logits_TE.dim(1);
  const auto scale =
      static_cast<float>(coefficient * static_cast<double>(E) / static_cast<double>(global_tokens));
  auto backward = [logits = logits_TE.detach(), scale,
                   load = std::vector<float>(load_fraction_E.begin(), load_fraction_E.end())](
                      const Tensor& dy_TE, autograd::GradientSink& sink) {
    Tensor dlogits_TE = empty_like(logits);
    const int64_t experts = logits.dim(1);
    const float* dy = dy_TE.data<float>();
    const float* from = logits.data<float>();
    float* to = dlogits_TE.mutable_data<float>();
    const BalanceLossKernel& kernel = kernel_of(logits);
    logits.device()->threads().parallel_for(
        logits.dim(0), std::max<int64_t>(1, kGrain / std::max<int64_t>(1, experts)),
        [&](int64_t begin, int64_t end) {
          kernel.backward(dy + begin * experts, from + begin * experts, load.data(), scale,
                          to + begin * experts, end - begin, experts);
        });
    sink.add(0, dlogits_TE);
  };
  return autograd::record("balance_loss", {logits_TE}, logits_TE.detach(), std::move(backward));
}

double balance_loss_value(const Tensor& logits_TE, std::span<const double> load_fraction_E,
                          double coefficient, int64_t global_tokens) {
  check(logits_TE, load_fraction_E, coefficient, global_tokens);
  const int64_t E = logits_TE.dim(1);
  const BalanceLossKernel& kernel = kernel_of(logits_TE);
  const float* logits = logits_TE.data<float>();
  std::vector<float> p(load_fraction_E.size());
  double sum = 0;
  for (int64_t t = 0; t < logits_TE.dim(0); ++t) {
    kernel.probabilities(logits + t * E, p.data(), E);
    for (size_t e = 0; e < p.size(); ++e) sum += load_fraction_E[e] * static_cast<double>(p[e]);
  }
  return coefficient * static_cast<double>(E) * sum / static_cast<double>(global_tokens);
}

}  // namespace corral::ops
