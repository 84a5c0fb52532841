#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "engine/speculation/draft.h"

namespace corral::engine {

/// Decides how many tokens to draft, from what steps of each length cost and how often drafts were
/// right. Checking a draft is almost free where decoding waits for the weights, and is not where
/// every token wakes experts of its own: so costs are measured, not assumed, and drafting stops
/// when it does not pay. Lengths double as long as that pays. Old measurements are forgotten, so
/// that it is tried again.
class DraftPolicy {
 public:
  /// most: tokens of a draft, 1 to kMost; throws UsageError otherwise.
  static constexpr int64_t kMost = 64;
  explicit DraftPolicy(int64_t most);

  /// Tokens worth drafting with this confidence now; 0: decode plainly.
  int64_t length(int confidence) const;
  /// A step has checked `drafted` tokens, of which the first `accepted` were right, and took this
  /// long with the drafting. confidence is ignored if nothing was drafted.
  void record(int confidence, int64_t drafted, int64_t accepted, double seconds);
  /// There was a guess of this confidence and length() was 0: what is known of its kind ages.
  void turned_down(int confidence);

 private:
  struct Cost {
    double seconds = 0;
    int64_t step = -1;  // when it was measured last; -1: never
  };
  struct Success {
    double right = 0;
    double wrong = 0;
  };

  bool known(size_t rung) const;
  double probability(int confidence) const;

  int64_t step_ = 0;
  std::vector<Cost> costs_;  // of 0, 1, 2, 4, 8, ... drafted tokens
  std::array<Success, kConfidences> successes_;
};

}  // namespace corral::engine
