#include "engine/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace corral::engine {
namespace {

TEST(Logprobs, AreThoseOfTheSoftmax) {
  const std::vector<float> logits = {1, 2, 2, -1};
  const TokenLogprobs result = token_logprobs(logits, 3, 3);
  const double sum = std::log(std::exp(1.0) + 2 * std::exp(2.0) + std::exp(-1.0));
  EXPECT_EQ(result.token.token, 3);
  EXPECT_NEAR(result.token.logprob, -1 - sum, 1e-12);
  ASSERT_EQ(result.top.size(), 3u);
  EXPECT_EQ(result.top[0].token, 1);  // the lower id among equals
  EXPECT_EQ(result.top[1].token, 2);
  EXPECT_EQ(result.top[2].token, 0);
  EXPECT_NEAR(result.top[2].logprob, 1 - sum, 1e-12);
}

TEST(Logprobs, StandHugeLogitsAndShortVocabularies) {
  const std::vector<float> logits = {3e38f, -3e38f};
  const TokenLogprobs result = token_logprobs(logits, 0, 20);
  EXPECT_EQ(result.token.logprob, 0);
  EXPECT_EQ(result.top.size(), 2u);
}

TEST(Logprobs, RefuseWhatIsNotANumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(token_logprobs(std::vector<float>{1, nan}, 0, 0), Error);
  EXPECT_THROW(token_logprobs(std::vector<float>{1, 2}, 2, 0), UsageError);
  EXPECT_THROW(token_logprobs(std::vector<float>{1, 2}, -1, 0), UsageError);
}

}  // namespace
}  // namespace corral::engine
