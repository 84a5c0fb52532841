#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"

namespace corral::engine {
namespace {

using ::testing::HasSubstr;

// Logits of the distribution 0.5, 0.25, 0.15, 0.1.
std::vector<float> four() {
  std::vector<float> logits;
  for (const double p : {0.5, 0.25, 0.15, 0.1}) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::map<int32_t, double> frequencies(const SamplingOptions& options, int draws = 20000) {
  Sampler sampler(options);
  const auto logits = four();
  std::map<int32_t, double> counts;
  for (int i = 0; i < draws; ++i) counts[sampler.sample(logits, {})] += 1.0 / draws;
  return counts;
}

SamplingOptions plain() {
  SamplingOptions options;
  options.temperature = 1;
  options.top_p = 1;
  return options;
}

TEST(Sampler, FollowsTheModelsDistribution) {
  const auto counts = frequencies(plain());
  EXPECT_NEAR(counts.at(0), 0.5, 0.015);
  EXPECT_NEAR(counts.at(1), 0.25, 0.015);
  EXPECT_NEAR(counts.at(2), 0.15, 0.015);
  EXPECT_NEAR(counts.at(3), 0.1, 0.015);
}

TEST(Sampler, SharpensWithLowTemperature) {
  SamplingOptions options = plain();
  options.temperature = 0.5;  // squares the probabilities
  const auto counts = frequencies(options);
  EXPECT_NEAR(counts.at(0), 0.25 / (0.25 + 0.0625 + 0.0225 + 0.01), 0.015);
}

TEST(Sampler, TakesTheLikeliestAtTemperatureZero) {
  SamplingOptions options = plain();
  options.temperature = 0;
  Sampler sampler(options);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}, {}), 1);
}

TEST(Sampler, KeepsTheKLikeliest) {
  SamplingOptions options = plain();
  options.top_k = 2;
  const auto counts = frequencies(options);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts.at(0), 2.0 / 3, 0.015);
}

TEST(Sampler, KeepsTheFewestThatReachTopP) {
  SamplingOptions options = plain();
  options.top_p = 0.7;  // 0.5 is not enough, 0.75 is
  EXPECT_EQ(frequencies(options).size(), 2u);
  options.top_p = 0;  // the likeliest always stays
  EXPECT_EQ(frequencies(options).size(), 1u);
}

TEST(Sampler, DropsWhatIsLessLikelyThanMinP) {
  SamplingOptions options = plain();
  options.min_p = 0.25;  // of 0.5: keeps 0.5, 0.25 and 0.15
  EXPECT_EQ(frequencies(options).size(), 3u);
}

TEST(Sampler, PenalisesWhatWasSeen) {
  SamplingOptions options;
  options.temperature = 0;
  options.repetition_penalty = 2;
  Sampler sampler(options);
  const std::vector<float> logits = {4, 3, -1, -1.5};
  const std::vector<int32_t> seen = {0};
  EXPECT_EQ(sampler.sample(logits, {}), 0);
  EXPECT_EQ(sampler.sample(logits, seen), 1);
  // A negative logit is multiplied: the penalty never makes a token likelier.
  const std::vector<int32_t> others = {0, 1, 2};
  EXPECT_EQ(sampler.sample(std::vector<float>{-8, -8, -1, -1.5}, others), 3);
}

TEST(Sampler, ForgetsWhatLeftTheWindow) {
  SamplingOptions options;
  options.temperature = 0;
  options.repetition_penalty = 2;
  options.repetition_window = 1;
  Sampler sampler(options);
  const std::vector<int32_t> seen = {0, 3};
  EXPECT_EQ(sampler.sample(std::vector<float>{4, 3, 0, 0}, seen), 0);
}

TEST(Sampler, RepeatsItselfWithTheSameSeedOnly) {
  const auto draw = [](uint64_t seed) {
    SamplingOptions options = plain();
    options.seed = seed;
    Sampler sampler(options);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 50; ++i) tokens.push_back(sampler.sample(four(), {}));
    return tokens;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, RefusesDamagedLogits) {
  Sampler sampler(plain());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THROW(sampler.sample(std::vector<float>{1, nan}, {}), Error);
  EXPECT_THROW(sampler.sample(std::vector<float>{-infinity, -infinity}, {}), Error);
}

TEST(SamplingOptions, NameTheValueThatIsOutOfRange) {
  SamplingOptions options;
  options.top_p = 1.5;
  try {
    options.check();
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("top_p is 1.5"));
  }
  options = {};
  options.temperature = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(options.check(), UsageError);
}

TEST(Sampler, AddsBiasToLogits) {
  SamplingOptions options = plain();
  options.temperature = 0;
  options.logit_bias = {{3, 50.0}, {0, -100.0}};
  Sampler sampler(options);
  EXPECT_EQ(sampler.sample(four(), {}), 3);
  options.logit_bias = {{0, -100.0}};
  EXPECT_EQ(Sampler(options).sample(four(), {}), 1);
}

TEST(Sampler, PenalisesWhatItChoseButNotThePrompt) {
  SamplingOptions options = plain();
  options.temperature = 0;
  options.presence_penalty = 1;  // more than log 0.5 - log 0.25
  Sampler presence(options);
  const std::vector<int32_t> prompt = {0, 0, 0};
  EXPECT_EQ(presence.sample(four(), prompt), 0);
  EXPECT_EQ(presence.sample(four(), prompt), 1);
  options.presence_penalty = 0;
  options.frequency_penalty = 0.4;  // twice this is more
  Sampler frequency(options);
  EXPECT_EQ(frequency.sample(four(), prompt), 0);
  EXPECT_EQ(frequency.sample(four(), prompt), 0);
  EXPECT_EQ(frequency.sample(four(), prompt), 1);
}

TEST(Sampler, RefusesPenaltiesAndBiasOutOfRange) {
  for (const double bad : {-2.1, 2.1, std::numeric_limits<double>::quiet_NaN()}) {
    SamplingOptions options = plain();
    options.presence_penalty = bad;
    EXPECT_THROW(Sampler{options}, UsageError);
    options = plain();
    options.frequency_penalty = bad;
    EXPECT_THROW(Sampler{options}, UsageError);
    options = plain();
    options.logit_bias = {{0, bad * 60}};
    EXPECT_THROW(Sampler{options}, UsageError);
  }
  SamplingOptions options = plain();
  options.logit_bias = {{-1, 0.0}};
  EXPECT_THROW(Sampler{options}, UsageError);
}

// The filters as they are defined: everything sorted, one after another.
class BySorting {
 public:
  explicit BySorting(const SamplingOptions& options) : options_(options), random_(options.seed) {}

  int32_t sample(std::span<const float> logits, const TokenMask* mask) {
    struct Candidate {
      int32_t token;
      double weight;
    };
    std::vector<Candidate> list;
    for (size_t i = 0; i < logits.size(); ++i) {
      const auto token = static_cast<int32_t>(i);
      if (mask == nullptr || mask->has(token)) list.push_back({token, logits[i]});
    }
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
      return a.weight > b.weight || (a.weight == b.weight && a.token < b.token);
    });
    if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < list.size()) {
      list.resize(static_cast<size_t>(options_.top_k));
    }
    const double best = list.front().weight;
    double total = 0;
    for (auto& candidate : list) {
      candidate.weight = std::exp((candidate.weight - best) / options_.temperature);
      total += candidate.weight;
    }
    double kept = 0;
    size_t count = 0;
    while (count < list.size() && (count == 0 || kept < options_.top_p * total)) {
      kept += list[count++].weight;
    }
    list.resize(count);
    while (list.size() > 1 && list.back().weight < options_.min_p) list.pop_back();
    total = 0;
    for (const auto& candidate : list) total += candidate.weight;
    double left = random_.uniform(++drawn_) * total;
    for (const auto& candidate : list) {
      left -= candidate.weight;
      if (left < 0) return candidate.token;
    }
    return list.back().token;
  }

 private:
  SamplingOptions options_;
  Philox random_;
  uint64_t drawn_ = 0;
};

TEST(Sampler, ChoosesWhatSortingEverythingChooses) {
  const Philox random(17);
  uint64_t drawn = 0;
  const auto uniform = [&] { return random.uniform(drawn++); };
  for (int round = 0; round < 300; ++round) {
    // Peaked, flat, with many ties, with holes.
    const auto V = static_cast<size_t>(1 + 3000 * uniform() * uniform());
    const double spread = std::exp(8 * uniform() - 4);
    const bool ties = uniform() < 0.3;
    std::vector<float> logits;
    for (size_t i = 0; i < V; ++i) {
      double x = std::log(uniform() + 1e-9) - std::log(uniform() + 1e-9);
      if (ties) x = std::floor(x);
      logits.push_back(i > 0 && uniform() < 0.05 ? -std::numeric_limits<float>::infinity()
                                                 : static_cast<float>(spread * x));
    }
    TokenMask mask(V);
    for (size_t i = 0; i < V; ++i) {
      if (i == 0 || uniform() < 0.5) mask.set(static_cast<int32_t>(i));
    }
    SamplingOptions options;
    options.temperature = std::exp(4 * uniform() - 2);
    options.top_k = uniform() < 0.5 ? 0 : static_cast<int64_t>(1 + 1.2 * uniform() * double(V));
    options.top_p = uniform() < 0.3 ? 1 : uniform();
    options.min_p = uniform() < 0.5 ? 0 : uniform() * uniform();
    options.seed = static_cast<uint64_t>(round);
    const TokenMask* used = uniform() < 0.5 ? &mask : nullptr;
    Sampler sampler(options);
    BySorting reference(options);
    for (int i = 0; i < 10; ++i) {
      ASSERT_EQ(sampler.sample(logits, {}, used), reference.sample(logits, used)) << round;
    }
  }
}

TEST(Sampler, NeverLeavesTheMask) {
  TokenMask mask(4);
  mask.set(2);
  SamplingOptions options = plain();
  options.logit_bias = {{0, 100.0}};
  for (const double temperature : {0.0, 1.0, 100.0}) {
    options.temperature = temperature;
    EXPECT_EQ(Sampler(options).sample(four(), {}, &mask), 2);
  }
  // A vocabulary with more tokens than the mask, and one with fewer.
  EXPECT_EQ(Sampler(plain()).sample(std::vector<float>(200, 1), {}, &mask), 2);
  EXPECT_THROW(Sampler(plain()).sample(std::vector<float>{1, 2}, {}, &mask), Error);
}

}  // namespace
}  // namespace corral::engine
