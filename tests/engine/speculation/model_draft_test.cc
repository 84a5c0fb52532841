// A draft model guesses for several texts at once, with little memory and in bounded time.
#include "engine/speculation/model_draft.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "engine/engine_fixture.h"

namespace corral::engine {
namespace {

class ModelDraftTest : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu({.threads = 1});
  model::Config config = fixture::byte_config();
  model::TextModel model = test::tiny_model(config, device);
  std::shared_ptr<const text::Tokenizer> tokenizer = test::byte_tokenizer();
  Sampler sampler = sampler_of(0.8);

  static Sampler sampler_of(double temperature) {
    SamplingOptions options;
    options.temperature = temperature;
    options.seed = 3;
    return Sampler(options);
  }
  ModelDraft make(const ModelDraft::Options& options) const {
    return {model, nullptr, model, nullptr, options};
  }
  static std::vector<int32_t> text_of(int64_t length, int32_t shift) {
    std::vector<int32_t> text = test::some_tokens(length, 264);
    for (int32_t& token : text) token = (token + shift) % 264;
    return text;
  }
  DraftText draft_text(int64_t key, const std::vector<int32_t>& tokens) const {
    return {.key = key, .tokens = tokens, .room = 64, .sampler = &sampler};
  }
  // What the model itself says after the text.
  std::vector<int32_t> expected(std::vector<int32_t> text, int64_t length) const {
    Session session(model, nullptr);
    Sampler chooser = sampler.fork();
    std::vector<int32_t> draft;
    Tensor logits = session.prefill(text);
    while (std::ssize(draft) < length) {
      const int32_t token = chooser.sample(logits.values<float>(), text);
      draft.push_back(token);
      text.push_back(token);
      if (std::ssize(draft) < length) logits = session.decode(token);
    }
    return draft;
  }
  // It ends where the cache can take back no more: at the end of a chunk of 16.
  static void expect_begins(const std::vector<int32_t>& draft, const std::vector<int32_t>& wanted,
                            size_t text_length) {
    ASSERT_EQ(draft.size(), std::min(wanted.size(), 16 - text_length % 16));
    EXPECT_TRUE(std::equal(draft.begin(), draft.end(), wanted.begin()));
  }
  int64_t bytes_of(int64_t tokens, int64_t piece) const {
    return kv::KvCache(model.kv_layout(), device).most_bytes(tokens, piece);
  }
};

TEST_F(ModelDraftTest, GuessesForSeveralTextsAsForEachAlone) {
  ModelDraft draft = make({});
  std::vector<std::vector<int32_t>> all;
  for (const int64_t length : {5, 31, 32, 33, 60}) {
    all.push_back(text_of(length, static_cast<int32_t>(length)));
  }
  // Texts grow, by tokens that were guessed or not, and one is left out each time.
  for (int round = 0; round < 6; ++round) {
    std::vector<DraftText> texts;
    std::vector<int64_t> lengths;
    for (size_t i = 0; i < all.size(); ++i) {
      texts.push_back(draft_text(static_cast<int64_t>(i), all[i]));
      lengths.push_back(i == static_cast<size_t>(round) ? 0
                                                        : 1 + (round + static_cast<int>(i)) % 5);
    }
    EXPECT_THAT(draft.look(texts), ::testing::Each(1));
    const auto proposal = draft.propose(texts, lengths);
    EXPECT_FALSE(proposal.caught_up);  // no text has more than a few new tokens
    for (size_t i = 0; i < all.size(); ++i) {
      expect_begins(proposal.tokens[i], expected(all[i], lengths[i]), all[i].size());
    }
    for (size_t i = 0; i < all.size(); ++i) {
      const auto& guessed = proposal.tokens[i];
      const auto right = static_cast<ptrdiff_t>(guessed.size() * (i % 3) / 2);
      all[i].insert(all[i].end(), guessed.begin(), guessed.begin() + right);
      all[i].push_back(static_cast<int32_t>(round));
    }
  }
}

TEST_F(ModelDraftTest, ReadsALongTextInPiecesAndGuessesThen) {
  ModelDraft draft = make({.piece_tokens = 50});
  const std::vector<int32_t> text = text_of(230, 0);
  const DraftText one = draft_text(1, text);
  const int64_t length = 3;
  int proposals = 0;
  while (true) {
    const auto proposal = draft.propose({&one, 1}, {&length, 1});
    ASSERT_LT(++proposals, 10);
    if (!proposal.tokens[0].empty()) {
      EXPECT_TRUE(proposal.caught_up);  // the last piece
      expect_begins(proposal.tokens[0], expected(text, 3), text.size());
      break;
    }
    EXPECT_TRUE(proposal.caught_up);
  }
  EXPECT_EQ(proposals, 4);  // 200 tokens, and the few behind them with the draft
  EXPECT_FALSE(draft.propose({&one, 1}, {&length, 1}).caught_up);
}

TEST_F(ModelDraftTest, ForgetsWhoAskedLeastRecentlyWhenMemoryIsShort) {
  ModelDraft draft = make({.kv_bytes = bytes_of(260, 512), .piece_tokens = 512});
  const int64_t length = 2;
  // Three texts in turn, of which memory holds one or two.
  for (int round = 0; round < 3; ++round) {
    for (int64_t key = 0; key < 3; ++key) {
      const std::vector<int32_t> text = text_of(120 + round, static_cast<int32_t>(key));
      const DraftText one = draft_text(key, text);
      ASSERT_EQ(draft.look({&one, 1}).front(), 1);
      const auto proposal = draft.propose({&one, 1}, {&length, 1});
      expect_begins(proposal.tokens[0], expected(text, 2), text.size());
    }
  }
  draft.forget(0);
  draft.forget(0);
  draft.forget(5);
}

TEST_F(ModelDraftTest, LeavesOutTextsThatMemoryDoesNotHold) {
  ModelDraft draft = make({.kv_bytes = bytes_of(200, 64), .piece_tokens = 64});
  const std::vector<int32_t> far_too_long = text_of(1000, 0);
  const DraftText one = draft_text(0, far_too_long);
  EXPECT_EQ(draft.look({&one, 1}).front(), kNoGuess);
  // Each alone fits, all together do not: some are guessed, and nothing fails.
  std::vector<std::vector<int32_t>> all;
  std::vector<DraftText> texts;
  for (int32_t i = 0; i < 8; ++i) all.push_back(text_of(100, i));
  for (int32_t i = 0; i < 8; ++i) texts.push_back(draft_text(i, all[static_cast<size_t>(i)]));
  const std::vector<int64_t> lengths(8, 2);
  EXPECT_THAT(draft.look(texts), ::testing::Each(1));
  size_t last = 0;
  for (int round = 0; round < 20; ++round) {
    const auto proposal = draft.propose(texts, lengths);
    size_t guessed = 0;
    for (size_t i = 0; i < 8; ++i) {
      if (proposal.tokens[i].empty()) continue;
      ++guessed;
      expect_begins(proposal.tokens[i], expected(all[i], 2), 100);
    }
    EXPECT_LT(guessed, 8u);
    last = guessed;
  }
  EXPECT_GE(last, 1u);
}

// A model whose logits are no numbers has no guess, and nobody else's text suffers.
TEST_F(ModelDraftTest, HasNoGuessWithoutNumbers) {
  model::TextModel broken = test::tiny_model(config, device, 2);
  for (const auto& parameter : broken.parameters()) {
    if (parameter.name != "model.norm.weight") continue;
    Tensor weights = parameter.value;
    std::ranges::fill(
        std::span(weights.mutable_data<float>(), static_cast<size_t>(weights.numel())),
        std::nanf(""));
  }
  ModelDraft draft(broken, nullptr, model, nullptr);
  const std::vector<int32_t> text = text_of(20, 0);
  const DraftText one = draft_text(0, text);
  const int64_t length = 4;
  EXPECT_THAT(draft.propose({&one, 1}, {&length, 1}).tokens[0], ::testing::IsEmpty());
}

}  // namespace
}  // namespace corral::engine
