#include "engine/speculation/draft_policy.h"

#include <bit>

#include "base/error.h"

namespace corral::engine {
namespace {

// Steps after which a cost counts as unknown.
constexpr int64_t kMemorySteps = 256;
// How fast a cost follows new measurements.
constexpr double kNewest = 0.3;
// How much of what is known of a kind of guesses remains after another draft, and after a guess
// that was turned down.
constexpr double kKept = 0.95;
constexpr double kKeptUnused = 0.998;
// Before anything is known: so many tokens were right, one was wrong.
constexpr std::array<double, kConfidences> kPriorRight = {1, 2, 5, 10};
// Drafting must beat plain decoding by this to be worth the risk.
constexpr double kGain = 1.02;

// Lengths that are measured and chosen: 0, 1, 2, 4, 8, ...
size_t rung_of(int64_t drafted) {
  return drafted == 0 ? 0 : static_cast<size_t>(std::bit_width(static_cast<uint64_t>(drafted)));
}
int64_t length_of(size_t rung) { return rung == 0 ? 0 : int64_t{1} << (rung - 1); }

}  // namespace

DraftPolicy::DraftPolicy(int64_t most) {
  if (most < 1 || most > kMost) {
    throw UsageError(str("drafts of ", most, " tokens, needs 1 to ", kMost));
  }
  costs_.resize(rung_of(most) + 1);
}

bool DraftPolicy::known(size_t rung) const {
  return costs_[rung].step >= 0 && step_ - costs_[rung].step <= kMemorySteps;
}

double DraftPolicy::probability(int confidence) const {
  const Success& success = successes_[static_cast<size_t>(confidence)];
  const double right = success.right + kPriorRight[static_cast<size_t>(confidence)];
  return right / (right + success.wrong + 1);
}

int64_t DraftPolicy::length(int confidence) const {
  if (!known(0)) return 0;
  const double p = probability(confidence);
  double best_rate = kGain / costs_[0].seconds;
  int64_t best = 0;
  double expected = 1;  // tokens that a step brings
  double all_right = 1;
  double seconds = costs_[0].seconds;
  for (size_t rung = 1; rung < costs_.size(); ++rung) {
    for (int64_t i = length_of(rung - 1); i < length_of(rung); ++i) {
      all_right *= p;
      expected += all_right;
    }
    // What is not known is taken to cost no more than the next shorter: so it will be measured, one
    // length after the other.
    const bool measured = known(rung);
    if (measured) seconds = costs_[rung].seconds;
    if (expected / seconds > best_rate) {
      best_rate = expected / seconds;
      best = length_of(rung);
    }
    if (!measured) break;
  }
  return best;
}

void DraftPolicy::record(int confidence, int64_t drafted, int64_t accepted, double seconds) {
  ++step_;
  const size_t rung = rung_of(drafted);
  Cost& cost = costs_[rung];
  cost.seconds = known(rung) ? cost.seconds + kNewest * (seconds - cost.seconds) : seconds;
  cost.step = step_;
  if (drafted == 0) return;
  Success& success = successes_[static_cast<size_t>(confidence)];
  success.right = kKept * success.right + static_cast<double>(accepted);
  success.wrong = kKept * success.wrong + (accepted < drafted ? 1 : 0);
}

void DraftPolicy::turned_down(int confidence) {
  Success& success = successes_[static_cast<size_t>(confidence)];
  success.right *= kKeptUnused;
  success.wrong *= kKeptUnused;
}

}  // namespace corral::engine
