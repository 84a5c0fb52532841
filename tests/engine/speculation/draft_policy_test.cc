#include "engine/speculation/draft_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/error.h"

namespace corral::engine {
namespace {

/// Steps of a decoder whose drafts are right `right` times of `of` in turn and whose step of n
/// drafted tokens takes seconds(n). Returns the drafted lengths.
std::vector<int64_t> simulate(DraftPolicy& policy, int steps, int confidence, double chance,
                              const std::function<double(int64_t)>& seconds) {
  std::vector<int64_t> lengths;
  double luck = 0;  // spreads right tokens evenly: no random numbers in a test
  for (int step = 0; step < steps; ++step) {
    const int64_t drafted = policy.length(confidence);
    int64_t accepted = 0;
    while (accepted < drafted) {
      luck += chance;
      if (luck < 1) break;
      luck -= 1;
      ++accepted;
    }
    if (drafted == 0) policy.turned_down(confidence);
    policy.record(confidence, drafted, accepted, seconds(drafted));
    lengths.push_back(drafted);
  }
  return lengths;
}

int64_t count_drafts(const std::vector<int64_t>& lengths) {
  return std::count_if(lengths.begin(), lengths.end(), [](int64_t n) { return n > 0; });
}

TEST(DraftPolicy, MeasuresAPlainStepFirst) {
  DraftPolicy policy(8);
  EXPECT_EQ(policy.length(3), 0);
  policy.record(0, 0, 0, 0.1);
  EXPECT_GT(policy.length(3), 0);
}

TEST(DraftPolicy, DraftsLongWhereCheckingIsFreeAndDraftsAreRight) {
  DraftPolicy policy(16);
  const auto lengths = simulate(policy, 100, 2, 0.999, [](int64_t) { return 1.0; });
  EXPECT_EQ(lengths.back(), 16);
  EXPECT_GE(count_drafts(lengths), 98);
}

// Every drafted token wakes experts of its own: a step of n tokens costs almost n steps.
TEST(DraftPolicy, StopsWhereEveryTokenCostsAStepAndDraftsAreOftenWrong) {
  DraftPolicy policy(16);
  const auto cost = [](int64_t n) { return 1.0 + 0.8 * static_cast<double>(n); };
  const auto lengths = simulate(policy, 1000, 1, 0.5, cost);
  EXPECT_LE(count_drafts(lengths), 60);  // it tries again now and then
  double spent = 0;
  for (const int64_t n : lengths) spent += cost(n);
  EXPECT_LE(spent, 1000 * 1.15);
}

TEST(DraftPolicy, KeepsDraftsShortWhereOnlyFewTokensAreFree) {
  DraftPolicy policy(32);
  const auto lengths = simulate(policy, 400, 2, 0.95, [](int64_t n) {
    return n <= 4 ? 1.0 : 1.0 + static_cast<double>(n - 4);
  });
  EXPECT_GE(lengths.back(), 2);
  EXPECT_LE(lengths.back(), 8);
}

TEST(DraftPolicy, TriesAgainWhenTheTextBeginsToRepeat) {
  DraftPolicy policy(16);
  const auto cost = [](int64_t n) { return 1.0 + 0.3 * static_cast<double>(n); };
  const auto before = simulate(policy, 500, 2, 0.05, cost);
  EXPECT_LE(count_drafts(before), 50);
  const auto after = simulate(policy, 500, 2, 0.98, cost);
  EXPECT_GE(count_drafts(after), 350);
}

TEST(DraftPolicy, LearnsEachConfidenceByItself) {
  DraftPolicy policy(8);
  const auto cost = [](int64_t n) { return 1.0 + 0.5 * static_cast<double>(n); };
  policy.record(0, 0, 0, 1.0);
  for (int i = 0; i < 50; ++i) {
    policy.record(3, 8, 8, cost(8));
    policy.record(0, 8, 0, cost(8));
    policy.record(0, 1, 0, cost(1));
  }
  EXPECT_EQ(policy.length(0), 0);
  EXPECT_GT(policy.length(3), 0);
}

TEST(DraftPolicy, RefusesLengthsThatMakeNoSense) {
  EXPECT_THROW(DraftPolicy(0), UsageError);
  EXPECT_THROW(DraftPolicy(65), UsageError);
}

}  // namespace
}  // namespace corral::engine
