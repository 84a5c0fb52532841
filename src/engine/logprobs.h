#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace corral::engine {

/// The natural logarithm of a token's probability.
struct TokenLogprob {
  int32_t token = -1;
  double logprob = 0;
};

/// A token and the k likeliest at its place, the likeliest first (lower ids first among equals).
struct TokenLogprobs {
  TokenLogprob token;
  std::vector<TokenLogprob> top;
};

/// Log probabilities under the model's own distribution of logits [V]: before temperature, bias,
/// penalties and filters. Sums are in double, in the order of ids. top is cut to V. Throws Error
/// when a logit is NaN or none is finite.
TokenLogprobs token_logprobs(std::span<const float> logits_V, int32_t token, int64_t top);

}  // namespace corral::engine
