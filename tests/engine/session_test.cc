#include "engine/session.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "model/cached_decoding.h"
#include "model/tiny_model.h"

namespace corral::engine {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu();
  model::Config config = config_of_bytes();
  model::TextModel model = test::tiny_model(config, device);
  std::shared_ptr<const text::Tokenizer> tokenizer = test::byte_tokenizer();

  // As many tokens as the tokenizer has.
  static model::Config config_of_bytes() {
    model::Config c = test::tiny_config();
    c.vocab_size = 264;
    return c;
  }
  Session session() { return Session(model, tokenizer); }
  static GenerateOptions greedy(int64_t max_tokens) {
    GenerateOptions options;
    options.sampling.temperature = 0;
    options.max_tokens = max_tokens;
    options.ignore_stop_tokens = true;
    return options;
  }
};

std::vector<float> copy(const Tensor& x) {
  const auto values = x.values<float>();
  return {values.begin(), values.end()};
}

TEST_F(SessionTest, ContinuesAsTheModelDoes) {
  const auto prompt = test::some_tokens(21, config.vocab_size);
  auto one = session();
  EXPECT_EQ(one.generate(prompt, greedy(40)).tokens, test::greedy(model, prompt, 40));
}

TEST_F(SessionTest, FeedsLongPromptsInPiecesWithoutChangingABit) {
  const auto prompt = test::some_tokens(100, config.vocab_size);
  auto whole = session();
  Session pieces(model, tokenizer, {}, 7);
  EXPECT_EQ(copy(whole.prefill(prompt)), copy(pieces.prefill(prompt)));
}

// FACTS 1B row 12: whatever the cache holds, the logits are those of a cold start, also when chunk
// borders lie between the old and the new end.
TEST_F(SessionTest, GivesColdLogitsFromAWarmCache_FactsRow12) {
  const auto tokens = test::some_tokens(70, config.vocab_size);
  for (const size_t first : {5u, 16u, 17u, 33u, 64u}) {
    for (const size_t second : {1u, 5u, 15u, 16u, 17u, 32u, 40u, 70u}) {
      auto warm = session();
      warm.prefill(std::span(tokens).first(first));
      auto cold = session();
      EXPECT_EQ(copy(warm.prefill(std::span(tokens).first(second))),
                copy(cold.prefill(std::span(tokens).first(second))))
          << first << " then " << second;
    }
  }
}

TEST_F(SessionTest, ReusesWhatAConversationHasInCommon) {
  const auto tokens = test::some_tokens(60, config.vocab_size);
  auto one = session();
  one.prefill(std::span(tokens).first(40));
  one.prefill(tokens);
  EXPECT_EQ(one.reused_tokens(), 40);
}

TEST_F(SessionTest, TurnsToADifferentPromptCleanly) {
  auto one = session();
  one.prefill(test::some_tokens(50, config.vocab_size));
  std::vector<int32_t> other = test::some_tokens(50, config.vocab_size);
  other[20] += 1;
  auto cold = session();
  EXPECT_EQ(copy(one.prefill(other)), copy(cold.prefill(other)));
}

TEST_F(SessionTest, StopsAtAStopString) {
  auto one = session();
  const auto prompt = tokenizer->encode("abc");
  const Answer free = one.generate(prompt, greedy(30));
  ASSERT_GE(free.text.size(), 8u);
  GenerateOptions options = greedy(30);
  options.stop = {free.text.substr(4, 3)};
  const size_t end = free.text.find(options.stop[0]);
  std::string shown;
  const Answer stopped = one.generate(prompt, options, [&](std::string_view part) {
    shown += part;
    return true;
  });
  EXPECT_EQ(stopped.reason, FinishReason::kStopString);
  EXPECT_EQ(stopped.text, free.text.substr(0, end));
  EXPECT_EQ(shown, stopped.text);
}

TEST_F(SessionTest, StopsWhenTheCallbackSaysSo) {
  auto one = session();
  int calls = 0;
  const Answer answer = one.generate(tokenizer->encode("abc"), greedy(200),
                                     [&](std::string_view) { return ++calls < 3; });
  EXPECT_EQ(answer.reason, FinishReason::kCancelled);
  EXPECT_LT(answer.tokens.size(), 200u);
}

TEST_F(SessionTest, CountsTokensAndEndsAtTheLimit) {
  auto one = session();
  const Answer answer = one.generate(tokenizer->encode("hello"), greedy(5));
  EXPECT_EQ(answer.reason, FinishReason::kLength);
  EXPECT_EQ(answer.tokens.size(), 5u);
  EXPECT_EQ(answer.prompt_tokens, 5);
}

TEST_F(SessionTest, ShowsOnlyWholeCharacters) {
  auto one = session();
  GenerateOptions options = greedy(60);
  options.sampling.temperature = 1.5;
  options.sampling.seed = 3;
  std::string shown;
  const Answer answer = one.generate(tokenizer->encode("x"), options, [&](std::string_view part) {
    shown += part;
    EXPECT_FALSE(part.empty());
    return true;
  });
  EXPECT_EQ(shown, answer.text);
  // Random bytes decode as Python would have it, whatever the pieces were.
  EXPECT_EQ(answer.text, tokenizer->decode_text(answer.tokens));
}

TEST_F(SessionTest, RefusesAnEmptyPrompt) {
  auto one = session();
  EXPECT_THROW(one.prefill(std::span<const int32_t>()), UsageError);
}

}  // namespace
}  // namespace corral::engine
