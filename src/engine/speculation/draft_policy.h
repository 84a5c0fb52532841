#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "engine/speculation/draft.h"

namespace corral::engine {

/// Decides how many tokens to draft for each of the texts that are decoded together, from what
/// steps of each size cost and how often drafts were right: so many as bring most tokens a second.
/// Checking a draft is almost free where decoding waits for the weights, and is not where every
/// token wakes experts of its own or many texts share a step: so costs are measured, not assumed,
/// and drafting stops when it does not pay. Sizes double as long as that pays. Old measurements are
/// forgotten, so that it is tried again.
///
/// Source of the aim: Liu et al. 2024, arXiv:2406.14066 ("goodput").
class DraftPolicy {
 public:
  /// most: tokens of one draft, 1 to kMost; throws UsageError otherwise.
  static constexpr int64_t kMost = 64;
  explicit DraftPolicy(int64_t most);

  /// What could be guessed of one text.
  struct Guess {
    int confidence = kNoGuess;
    int64_t room = kMost;  // most tokens
  };
  /// Tokens worth drafting now, at most `rows` in sum; of all 0: decode plainly.
  std::vector<int64_t> lengths(std::span<const Guess> guesses, int64_t rows) const;

  /// What became of one text's guess in a step: of `drafted` tokens the first `accepted` were
  /// right.
  struct Result {
    int confidence = kNoGuess;
    int64_t drafted = 0;
    int64_t accepted = 0;
  };
  /// A step of these texts took so long, with the drafting; nothing: that is not to be counted on.
  void record(std::span<const Result> results, std::optional<double> seconds);

 private:
  struct Cost {
    double seconds = 0;
    int64_t step = -1;  // when it was measured last; -1: never
  };
  using Costs = std::vector<Cost>;  // by rung: see length_of()
  struct Success {
    double right = 0;
    double wrong = 0;
  };

  bool known(const Cost& cost) const;
  double probability(int confidence) const;
  void count(const Result& result);

  int64_t most_;
  int64_t step_ = 0;
  std::map<int64_t, Costs> costs_;  // by the number of texts
  std::array<Success, kConfidences> successes_;
};

}  // namespace corral::engine
