#include "engine/step_budget.h"

#include <algorithm>

namespace corral::engine {
namespace {

// New measurements count a quarter: a slow step is noticed at once, one outlier is soon forgotten.
constexpr double kNew = 0.25;

void blend(double& mean, double value) { mean = mean == 0 ? value : mean + kNew * (value - mean); }

}  // namespace

int64_t StepBudget::prompt_tokens() const {
  if (seconds_per_prompt_token_ <= 0) return std::min(kLeastTokens * 4, most_tokens_);
  const double left = std::max(0.0, target_seconds_ - decode_seconds_);
  const double tokens =
      std::min(left / seconds_per_prompt_token_, static_cast<double>(most_tokens_));
  return std::clamp(static_cast<int64_t>(tokens), std::min(kLeastTokens, most_tokens_),
                    most_tokens_);
}

void StepBudget::record(int64_t decode_tokens, int64_t prompt_tokens, double seconds) {
  if (prompt_tokens == 0) {
    if (decode_tokens > 0) blend(decode_seconds_, seconds);
    return;
  }
  const double decoding = decode_tokens > 0 ? decode_seconds_ : 0;
  blend(seconds_per_prompt_token_,
        std::max(seconds - decoding, seconds * 0.01) / static_cast<double>(prompt_tokens));
}

}  // namespace corral::engine
