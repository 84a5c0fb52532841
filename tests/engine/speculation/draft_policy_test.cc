#include "engine/speculation/draft_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/error.h"

namespace corral::engine {
namespace {

int64_t length_for(const DraftPolicy& policy, int confidence) {
  const DraftPolicy::Guess guess{.confidence = confidence};
  return policy.lengths({&guess, 1}, DraftPolicy::kMost).front();
}

void record(DraftPolicy& policy, int confidence, int64_t drafted, int64_t accepted,
            double seconds) {
  const DraftPolicy::Result result{confidence, drafted, accepted};
  policy.record({&result, 1}, seconds);
}

/// Steps of a decoder whose drafts are right `right` times of `of` in turn and whose step of n
/// drafted tokens takes seconds(n). Returns the drafted lengths.
std::vector<int64_t> simulate(DraftPolicy& policy, int steps, int confidence, double chance,
                              const std::function<double(int64_t)>& seconds) {
  std::vector<int64_t> lengths;
  double luck = 0;  // spreads right tokens evenly: no random numbers in a test
  for (int step = 0; step < steps; ++step) {
    const int64_t drafted = length_for(policy, confidence);
    int64_t accepted = 0;
    while (accepted < drafted) {
      luck += chance;
      if (luck < 1) break;
      luck -= 1;
      ++accepted;
    }
    record(policy, confidence, drafted, accepted, seconds(drafted));
    lengths.push_back(drafted);
  }
  return lengths;
}

int64_t count_drafts(const std::vector<int64_t>& lengths) {
  return std::count_if(lengths.begin(), lengths.end(), [](int64_t n) { return n > 0; });
}

TEST(DraftPolicy, MeasuresAPlainStepFirst) {
  DraftPolicy policy(8);
  EXPECT_EQ(length_for(policy, 3), 0);
  record(policy, 0, 0, 0, 0.1);
  EXPECT_GT(length_for(policy, 3), 0);
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
  record(policy, 0, 0, 0, 1.0);
  for (int i = 0; i < 50; ++i) {
    record(policy, 3, 8, 8, cost(8));
    record(policy, 0, 8, 0, cost(8));
    record(policy, 0, 1, 0, cost(1));
  }
  EXPECT_EQ(length_for(policy, 0), 0);
  EXPECT_GT(length_for(policy, 3), 0);
}

/// Steps of several texts decoded together, of which the guesses of text i are right as far as
/// right[i] says. Returns the lengths of the last step.
std::vector<int64_t> simulate_texts(DraftPolicy& policy, int steps,
                                    const std::vector<DraftPolicy::Guess>& guesses,
                                    const std::vector<int64_t>& right, int64_t rows,
                                    const std::function<double(int64_t)>& seconds_of_rows) {
  std::vector<int64_t> lengths;
  for (int step = 0; step < steps; ++step) {
    lengths = policy.lengths(guesses, rows);
    std::vector<DraftPolicy::Result> results;
    int64_t all = std::ssize(guesses);
    for (size_t i = 0; i < guesses.size(); ++i) {
      results.push_back({guesses[i].confidence, lengths[i], std::min(lengths[i], right[i])});
      all += lengths[i];
    }
    policy.record(results, seconds_of_rows(all));
  }
  return lengths;
}

TEST(DraftPolicy, GivesTheTokensOfAStepToTheTextsThatAreGuessedRight) {
  DraftPolicy policy(16);
  // Eight rows are free.
  const auto cost = [](int64_t rows) { return rows <= 8 ? 1.0 : static_cast<double>(rows) / 8; };
  const auto lengths =
      simulate_texts(policy, 200, {{.confidence = 0}, {.confidence = 3}, {.confidence = kNoGuess}},
                     {0, 16, 0}, 512, cost);
  EXPECT_EQ(lengths[0], 0);
  EXPECT_GE(lengths[1], 4);
  EXPECT_EQ(lengths[2], 0);
}

TEST(DraftPolicy, DraftsLessWhenMoreTextsShareAStep) {
  const auto cost = [](int64_t rows) { return rows <= 16 ? 1.0 : static_cast<double>(rows) / 16; };
  int64_t before = DraftPolicy::kMost;
  for (const size_t texts : {1u, 4u, 8u, 16u}) {
    DraftPolicy policy(16);
    const std::vector<DraftPolicy::Guess> guesses(texts, {.confidence = 2});
    const auto lengths =
        simulate_texts(policy, 300, guesses, std::vector<int64_t>(texts, 3), 512, cost);
    const int64_t most = *std::max_element(lengths.begin(), lengths.end());
    EXPECT_LE(most, before) << texts;
    before = most;
  }
  EXPECT_EQ(before, 0);  // sixteen texts leave no row that is free
}

TEST(DraftPolicy, KeepsToTheRoomOfATextAndTheRowsOfAStep) {
  for (const int64_t rows : {0, 1, 5, 31, 512}) {
    DraftPolicy policy(16);
    const std::vector<DraftPolicy::Guess> guesses = {
        {.confidence = 3, .room = 3}, {.confidence = 3, .room = 0}, {.confidence = 3}};
    const auto lengths =
        simulate_texts(policy, 50, guesses, {16, 16, 16}, rows, [](int64_t) { return 1.0; });
    EXPECT_LE(lengths[0], 3);
    EXPECT_EQ(lengths[1], 0);
    EXPECT_LE(lengths[2], 16);
    EXPECT_LE(lengths[0] + lengths[2], rows);
    EXPECT_GE(lengths[0] + lengths[2], std::min<int64_t>(rows, 19) / 2);
  }
}

// Sixty-four texts, one of which repeats: tokens for it alone bring a few percent, and are found.
TEST(DraftPolicy, FindsTheOneTextOfManyThatRepeats) {
  DraftPolicy policy(16);
  std::vector<DraftPolicy::Guess> guesses(64, {.confidence = kNoGuess});
  std::vector<int64_t> right(64, 0);
  guesses[40].confidence = 3;
  right[40] = 16;
  const auto lengths = simulate_texts(policy, 100, guesses, right, 448, [](int64_t rows) {
    return 1.0 + 0.001 * static_cast<double>(rows);
  });
  EXPECT_EQ(lengths[40], 16);
}

TEST(DraftPolicy, DoesNotCountOnAStepWhoseTimeSaysNothing) {
  DraftPolicy policy(8);
  record(policy, 3, 0, 0, 1.0);
  const DraftPolicy::Result slow{.confidence = 3, .drafted = 1, .accepted = 1};
  policy.record({&slow, 1}, std::nullopt);
  EXPECT_GT(length_for(policy, 3), 0);
  policy.record({&slow, 1}, 100.0);
  EXPECT_EQ(length_for(policy, 3), 0);
}

TEST(DraftPolicy, RefusesLengthsThatMakeNoSense) {
  EXPECT_THROW(DraftPolicy(0), UsageError);
  EXPECT_THROW(DraftPolicy(65), UsageError);
}

}  // namespace
}  // namespace corral::engine
