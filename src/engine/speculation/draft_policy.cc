#include "engine/speculation/draft_policy.h"

#include <algorithm>
#include <bit>
#include <queue>
#include <utility>

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

// The sizes of drafts, of all texts together, that are measured and chosen: 0, 1, 2, 4, 8, ...
// times a unit. Of many texts one more token is not worth measuring.
int64_t unit_of(int64_t texts) { return std::max<int64_t>(1, texts / 4); }
size_t rung_of(int64_t drafted, int64_t texts) {
  if (drafted == 0) return 0;
  const auto units = static_cast<uint64_t>(drafted / unit_of(texts));
  return std::max<size_t>(1, static_cast<size_t>(std::bit_width(units)));
}
int64_t length_of(size_t rung, int64_t texts) {
  return rung == 0 ? 0 : unit_of(texts) << (rung - 1);
}

// Deals out tokens one by one, each to the text whose next one is most likely to be right.
class Dealer {
 public:
  Dealer(std::span<const DraftPolicy::Guess> guesses, std::vector<double> right, int64_t most)
      : right_(std::move(right)), lengths_(guesses.size(), 0) {
    for (const DraftPolicy::Guess& guess : guesses) {
      const size_t text = room_.size();
      room_.push_back(guess.confidence == kNoGuess ? 0 : std::min(guess.room, most));
      offer(text, right_[text]);
    }
  }

  bool empty() const { return offers_.empty(); }
  /// Returns the chance that the token is right, and all before it.
  double deal() {
    const auto [chance, text] = offers_.top();
    offers_.pop();
    ++lengths_[text];
    offer(text, chance * right_[text]);
    return chance;
  }
  const std::vector<int64_t>& lengths() const { return lengths_; }

 private:
  struct Offer {
    double chance;
    size_t text;
    bool operator<(const Offer& other) const {
      return chance != other.chance ? chance < other.chance : text > other.text;
    }
  };
  void offer(size_t text, double chance) {
    if (lengths_[text] < room_[text]) offers_.push({chance, text});
  }

  std::vector<double> right_;  // chance of a token after right ones, by text
  std::vector<int64_t> room_;
  std::vector<int64_t> lengths_;
  std::priority_queue<Offer> offers_;
};

}  // namespace

DraftPolicy::DraftPolicy(int64_t most) : most_(most) {
  if (most >= 1 && most <= kMost) return;
  throw UsageError(str("drafts of ", most, " tokens, needs 1 to ", kMost));
}

bool DraftPolicy::known(const Cost& cost) const {
  return cost.step >= 0 && step_ - cost.step <= kMemorySteps;
}

double DraftPolicy::probability(int confidence) const {
  if (confidence == kNoGuess) return 0;
  const Success& success = successes_[static_cast<size_t>(confidence)];
  const double right = success.right + kPriorRight[static_cast<size_t>(confidence)];
  return right / (right + success.wrong + 1);
}

std::vector<int64_t> DraftPolicy::lengths(std::span<const Guess> guesses, int64_t rows) const {
  const auto texts = std::ssize(guesses);
  std::vector<int64_t> best(guesses.size(), 0);
  const auto found = costs_.find(texts);
  if (found == costs_.end() || !known(found->second[0])) return best;
  const Costs& costs = found->second;

  std::vector<double> right;
  for (const Guess& guess : guesses) right.push_back(probability(guess.confidence));
  Dealer dealer(guesses, std::move(right), most_);
  double seconds = costs[0].seconds;
  double expected = static_cast<double>(texts);  // tokens that a step brings
  double best_rate = kGain * expected / seconds;
  int64_t drafted = 0;
  for (size_t rung = 1; !dealer.empty() && length_of(rung, texts) <= rows; ++rung) {
    for (; drafted < length_of(rung, texts) && !dealer.empty(); ++drafted)
      expected += dealer.deal();
    // What is not known is taken to cost no more than the next smaller: so it will be measured, one
    // size after the other.
    const bool measured = rung < costs.size() && known(costs[rung]);
    if (measured) seconds = costs[rung].seconds;
    if (expected / seconds > best_rate) {
      best_rate = expected / seconds;
      best = dealer.lengths();
    }
    if (!measured) break;
  }
  return best;
}

void DraftPolicy::record(std::span<const Result> results, std::optional<double> seconds) {
  ++step_;
  int64_t drafted = 0;
  for (const Result& result : results) {
    drafted += result.drafted;
    count(result);
  }
  if (!seconds) return;
  const auto texts = std::ssize(results);
  Costs& costs = costs_[texts];
  const size_t rung = rung_of(drafted, texts);
  if (costs.size() <= rung) costs.resize(rung + 1);
  Cost& cost = costs[rung];
  cost.seconds = known(cost) ? cost.seconds + kNewest * (*seconds - cost.seconds) : *seconds;
  cost.step = step_;
}

void DraftPolicy::count(const Result& result) {
  if (result.confidence == kNoGuess) return;
  Success& success = successes_[static_cast<size_t>(result.confidence)];
  if (result.drafted == 0) {  // turned down: what is known of its kind ages
    success.right *= kKeptUnused;
    success.wrong *= kKeptUnused;
    return;
  }
  success.right = kKept * success.right + static_cast<double>(result.accepted);
  success.wrong = kKept * success.wrong + (result.accepted < result.drafted ? 1 : 0);
}

}  // namespace corral::engine
