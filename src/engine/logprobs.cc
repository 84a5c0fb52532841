#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace corral::engine {

TokenLogprobs token_logprobs(std::span<const float> logits_V, int32_t token, int64_t top) {
  if (token < 0 || static_cast<size_t>(token) >= logits_V.size()) {
    throw UsageError(str("token ", token, " is none of the ", logits_V.size(), " of the model"));
  }
  const double best = *std::max_element(logits_V.begin(), logits_V.end());
  double sum = 0;
  for (const float logit : logits_V) sum += std::exp(logit - best);
  if (!std::isfinite(best) || !std::isfinite(sum)) {
    throw Error("the model's logits are not finite: the weights are damaged");
  }
  const double log_sum = best + std::log(sum);
  const auto of = [&](int32_t id) {
    return TokenLogprob{id, static_cast<double>(logits_V[static_cast<size_t>(id)]) - log_sum};
  };

  TokenLogprobs result{.token = of(token), .top = {}};
  const auto count =
      static_cast<size_t>(std::clamp<int64_t>(top, 0, static_cast<int64_t>(logits_V.size())));
  if (count == 0) return result;
  std::vector<int32_t> ids(logits_V.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(count), ids.end(),
                    [&](int32_t a, int32_t b) {
                      const float x = logits_V[static_cast<size_t>(a)];
                      const float y = logits_V[static_cast<size_t>(b)];
                      return x > y || (x == y && a < b);
                    });
  for (size_t i = 0; i < count; ++i) result.top.push_back(of(ids[i]));
  return result;
}

}  // namespace corral::engine
