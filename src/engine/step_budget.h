#pragma once

#include <cstdint>

namespace corral::engine {

/// How many tokens of prompts go into a step while answers wait for their next token, so that no
/// step takes much longer than a target. Learns from the steps what tokens cost. What is chosen
/// changes when tokens come, never which.
class StepBudget {
 public:
  StepBudget(int64_t most_tokens, double target_seconds)
      : most_tokens_(most_tokens), target_seconds_(target_seconds) {}

  /// Of prompts in a step that also decodes; at least kLeastTokens, so that prompts always go on.
  int64_t prompt_tokens() const;
  /// A step took this long.
  void record(int64_t decode_tokens, int64_t prompt_tokens, double seconds);

  static constexpr int64_t kLeastTokens = 16;

 private:
  int64_t most_tokens_;
  double target_seconds_;
  double decode_seconds_ = 0;            // of a step that only decodes
  double seconds_per_prompt_token_ = 0;  // 0: not known yet
};

}  // namespace corral::engine
