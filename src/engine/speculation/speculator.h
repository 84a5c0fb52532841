#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/speculation/draft.h"
#include "engine/speculation/draft_policy.h"

namespace corral::engine {

struct SpeculationStats {
  int64_t steps = 0;     // passes through the model
  int64_t drafted = 0;   // tokens that were checked
  int64_t accepted = 0;  // of these, right

  SpeculationStats operator-(const SpeculationStats& earlier) const {
    return {steps - earlier.steps, drafted - earlier.drafted, accepted - earlier.accepted};
  }
};

/// Speculative decoding: a source drafts, the model checks a whole draft in one batch, for one text
/// or for several that are decoded together.
///
/// The model's choice at every place is the one that it makes without drafts: the sampler draws
/// from the model's own logits with the random number of that place, and a draft is right as far as
/// it says the same. So not only the distribution but every token is that of plain decoding, greedy
/// or sampled, for a seed; only the time differs. (Leviathan et al. 2023, arXiv:2211.17192, accept
/// with the same probability when a draft is a single token.)
class Speculator {
 public:
  /// Seconds from any fixed moment.
  using Now = std::function<double()>;

  /// most: tokens of a draft, 1 to DraftPolicy::kMost. now: what tells how long steps take.
  Speculator(std::unique_ptr<DraftSource> source, int64_t most, Now now = steady_seconds);

  /// Begins a step of these texts: what to check after each, at most `rows` tokens in sum; empty
  /// where it would not pay.
  std::vector<Draft> draft(std::span<const DraftText> texts, int64_t rows);
  /// Ends the step. A step that is not ended teaches nothing.
  void record(std::span<const DraftPolicy::Result> results);
  /// The text with this key grows no more.
  void forget(int64_t key) { source_->forget(key); }

  const SpeculationStats& stats() const { return stats_; }

 private:
  static double steady_seconds();

  std::unique_ptr<DraftSource> source_;
  Now now_;
  double began_ = 0;
  bool typical_ = true;  // the step's time tells what such steps take
  DraftPolicy policy_;
  SpeculationStats stats_;
};

}  // namespace corral::engine
