// Speculative decoding gives the tokens of plain decoding, whatever is drafted.

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "engine/engine_fixture.h"
#include "engine/speculation/lookup_draft.h"
#include "engine/speculation/model_draft.h"
#include "engine/speculation/prophet.h"
#include "model/tiny_model.h"

namespace corral::engine {
namespace {

using fixture::even_steps;
using fixture::Prophet;

class SpeculationTest : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu({.threads = 1});
  model::Config config = fixture::byte_config();
  model::TextModel model = test::tiny_model(config, device);
  std::shared_ptr<const text::Tokenizer> tokenizer = test::byte_tokenizer();
  std::vector<int32_t> prompt = test::some_tokens(21, 264);

  static GenerateOptions options(double temperature, uint64_t seed = 7) {
    GenerateOptions o;
    o.sampling.temperature = temperature;
    o.sampling.seed = seed;
    o.max_tokens = 50;
    o.ignore_stop_tokens = true;
    return o;
  }
  Answer plain(const GenerateOptions& o) const {
    return Session(model, tokenizer).generate(prompt, o);
  }
  static std::unique_ptr<Prophet> prophet(std::vector<int32_t> text, size_t wrong_every) {
    return std::make_unique<Prophet>(std::vector<std::vector<int32_t>>{std::move(text)},
                                     wrong_every);
  }
  std::vector<int32_t> text_of(const Answer& answer) const {
    std::vector<int32_t> text = prompt;
    text.insert(text.end(), answer.tokens.begin(), answer.tokens.end());
    return text;
  }
};

TEST_F(SpeculationTest, GivesTheTokensOfPlainDecodingWithRightAndWrongDrafts) {
  for (const double temperature : {0.0, 0.8}) {
    const Answer wanted = plain(options(temperature));
    for (const size_t wrong_every : {1u, 3u, 1000u}) {
      for (const int64_t most : {4, 32}) {
        Speculator speculator(prophet(text_of(wanted), wrong_every), most, even_steps());
        Session session(model, tokenizer);
        const Answer answer = session.generate(prompt, options(temperature), nullptr, &speculator);
        EXPECT_EQ(answer.tokens, wanted.tokens);
        EXPECT_EQ(answer.text, wanted.text);
        EXPECT_EQ(answer.reason, wanted.reason);
        EXPECT_GT(answer.speculation.drafted, 0);
        if (wrong_every == 1000) {
          EXPECT_EQ(answer.speculation.accepted, answer.speculation.drafted);
        }
        if (wrong_every == 1) {
          EXPECT_EQ(answer.speculation.accepted, 0);
        }
      }
    }
  }
}

// After any draft, right or wrong, at any place of a chunk, the cache is what it would be without.
TEST_F(SpeculationTest, LeavesTheCacheOfPlainDecoding_FactsRow12) {
  const auto more = test::some_tokens(30, 264);
  for (int64_t length = 1; length <= 40; length += 3) {
    GenerateOptions o = options(0);
    o.max_tokens = length;
    Session without(model, tokenizer);
    const Answer wanted = without.generate(prompt, o);
    Speculator speculator(prophet(text_of(wanted), 3), 11, even_steps());
    Session with(model, tokenizer);
    with.generate(prompt, o, nullptr, &speculator);
    ASSERT_EQ(with.tokens(), without.tokens());
    // A token behind it sees all keys of its chunk and, in global layers, of everything.
    const Tensor a = with.decode(more[0]);
    const Tensor b = without.decode(more[0]);
    ASSERT_EQ(std::memcmp(a.data<float>(), b.data<float>(), static_cast<size_t>(a.size_bytes())), 0)
        << length;
  }
}

TEST_F(SpeculationTest, StopsWhereAPlainAnswerStops) {
  GenerateOptions o = options(0);
  const Answer all = plain(o);
  const std::string stop = all.text.substr(all.text.size() / 2, 3);
  o.stop = {stop};
  const Answer wanted = plain(o);
  ASSERT_EQ(wanted.reason, FinishReason::kStopString);
  Speculator speculator(prophet(text_of(all), 1000), 16, even_steps());
  Session session(model, tokenizer);
  const Answer answer = session.generate(prompt, o, nullptr, &speculator);
  EXPECT_EQ(answer.tokens, wanted.tokens);
  EXPECT_EQ(answer.text, wanted.text);
  EXPECT_EQ(answer.reason, FinishReason::kStopString);
}

TEST_F(SpeculationTest, GivesTheTokensOfPlainDecodingWithLookups) {
  GenerateOptions o = options(0);
  o.max_tokens = 150;  // enough for a tiny model to repeat something
  const Answer wanted = plain(o);
  Speculator speculator(std::make_unique<LookupDraft>(), 16, even_steps());
  Session session(model, tokenizer);
  const Answer answer = session.generate(prompt, o, nullptr, &speculator);
  EXPECT_EQ(answer.tokens, wanted.tokens);
  EXPECT_GT(answer.speculation.drafted, 0);
}

TEST_F(SpeculationTest, NeedsFewStepsForTextThatRepeats) {
  GenerateOptions o = options(0);
  const std::vector<int32_t> page = test::some_tokens(60, 264);
  o.forced = page;
  o.forced.insert(o.forced.end(), page.begin(), page.end());
  o.max_tokens = static_cast<int64_t>(o.forced.size());
  Speculator speculator(std::make_unique<LookupDraft>(), 16, even_steps());
  Session session(model, tokenizer);
  const Answer answer = session.generate(prompt, o, nullptr, &speculator);
  EXPECT_EQ(answer.tokens, o.forced);
  EXPECT_GT(answer.speculation.accepted, 40);
  // 59 for the first page, then drafts that end with chunks of 16.
  EXPECT_LT(answer.speculation.steps, 80);
}

TEST_F(SpeculationTest, GivesTheTokensOfPlainDecodingWithADraftModel) {
  const model::TextModel other = test::tiny_model(config, device, 2);
  for (const model::TextModel* draft : std::vector<const model::TextModel*>{&model, &other}) {
    for (const double temperature : {0.0, 0.9}) {
      const Answer wanted = plain(options(temperature));
      Speculator speculator(std::make_unique<ModelDraft>(*draft, tokenizer, model, tokenizer.get()),
                            6, even_steps());
      Session session(model, tokenizer);
      const Answer answer = session.generate(prompt, options(temperature), nullptr, &speculator);
      EXPECT_EQ(answer.tokens, wanted.tokens);
      EXPECT_GT(answer.speculation.drafted, 0);
      // It draws with the random numbers of the answer: the same model is always right.
      if (draft == &model) {
        EXPECT_EQ(answer.speculation.accepted, answer.speculation.drafted);
      }
    }
  }
}

TEST_F(SpeculationTest, KeepsPenaltiesAndBias) {
  GenerateOptions o = options(0.7);
  o.sampling.repetition_penalty = 1.3;
  o.sampling.frequency_penalty = 0.5;
  o.sampling.logit_bias = {{65, 2.0}};
  const Answer wanted = plain(o);
  Speculator speculator(std::make_unique<ModelDraft>(model, tokenizer, model, tokenizer.get()), 6,
                        even_steps());
  Session session(model, tokenizer);
  const Answer answer = session.generate(prompt, o, nullptr, &speculator);
  EXPECT_EQ(answer.tokens, wanted.tokens);
  EXPECT_EQ(answer.speculation.accepted, answer.speculation.drafted);
}

// One token of a toy distribution, drawn with many seeds: with drafts that favour one token
// the counts are those that the model's probabilities say.
TEST_F(SpeculationTest, DrawsFromTheModelsDistribution) {
  GenerateOptions o = options(1.0);
  o.max_tokens = 4;
  o.sampling.top_k = 4;
  o.sampling.top_p = 1.0;
  const Answer first = plain(options(0));
  // So that all third tokens have one distribution. (The second is never drafted: the first step
  // measures what a plain one costs.)
  o.forced = {first.tokens[0], first.tokens[1]};
  Session session(model, tokenizer);
  std::vector<int32_t> context = prompt;
  context.insert(context.end(), o.forced.begin(), o.forced.end());
  const TokenLogprobs exact = token_logprobs(session.prefill(context).values<float>(), 0, 4);
  double total = 0;
  for (const TokenLogprob& token : exact.top) total += std::exp(token.logprob);

  constexpr int kDraws = 300;
  std::map<int32_t, int> counts;
  for (int seed = 0; seed < kDraws; ++seed) {
    o.sampling.seed = static_cast<uint64_t>(seed);
    std::vector<int32_t> text = context;
    text.push_back(exact.top[0].token);
    Speculator speculator(prophet(text, 1000), 1, even_steps());
    const Answer answer = session.generate(prompt, o, nullptr, &speculator);
    EXPECT_GT(answer.speculation.drafted, 0);
    ++counts[answer.tokens.at(2)];
  }
  double chi_square = 0;
  for (const TokenLogprob& token : exact.top) {
    const double wanted = kDraws * std::exp(token.logprob) / total;
    chi_square += (counts[token.token] - wanted) * (counts[token.token] - wanted) / wanted;
  }
  EXPECT_EQ(counts.size(), 4U);
  EXPECT_LT(chi_square,
            16.3);  // three degrees of freedom: 1 in 1000 is beyond; the seeds are fixed
}

TEST_F(SpeculationTest, RefusesADraftModelWithAnotherVocabulary) {
  const model::Config smaller = test::tiny_config();
  const model::TextModel draft = test::tiny_model(smaller, device);
  EXPECT_THROW(ModelDraft(draft, nullptr, model, nullptr), UsageError);
}

}  // namespace
}  // namespace corral::engine
