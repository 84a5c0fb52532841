#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "text/piece_counter.h"
#include "text/small_tokenizer.h"
#include "text/special_tokens.h"
#include "text/tokenizer_files.h"

namespace corral::test {
namespace {

text::TrainTokenizerOptions options_for(int64_t learned) {
  text::TrainTokenizerOptions options;
  options.special_tokens = {"<|begin_of_text|>", "<|end_of_text|>"};
  options.vocab_size = 256 + learned + 2;
  return options;
}

std::vector<std::string> learned(const std::vector<std::string>& documents,
                                 const text::TrainTokenizerOptions& options) {
  const auto spec = text::train_tokenizer(documents_of(documents), options);
  return {spec.tokens.begin() + 256, spec.tokens.end()};
}

using Tokens = std::vector<std::string>;

TEST(BpeTrainer, JoinsTheMostFrequentPairFirst) {
  // Pieces: "hug" x 10, " hug" x 0 ... worked out by hand: u g occurs 10 + 5 + 12 times.
  std::vector<std::string> documents;
  for (int i = 0; i < 10; ++i) documents.push_back("hug");
  for (int i = 0; i < 5; ++i) documents.push_back("pug");
  for (int i = 0; i < 12; ++i) documents.push_back("pun");
  for (int i = 0; i < 4; ++i) documents.push_back("bun");
  for (int i = 0; i < 5; ++i) documents.push_back("hugs");
  // ug 20; then un 16; then h ug 15; then p un 12; ...
  EXPECT_EQ(learned(documents, options_for(4)), (Tokens{"ug", "un", "hug", "pun"}));
}

TEST(BpeTrainer, BreaksTiesByTheBytesOfTheLeftPartAndThenOfTheRight) {
  EXPECT_EQ(learned({"zy ba bc", "zy ba bc"}, options_for(2)), (Tokens{" b", " ba"}));
  EXPECT_EQ(learned({"qx", "qx", "qa", "qa"}, options_for(2)), (Tokens{"qa", "qx"}));
}

TEST(BpeTrainer, NeverJoinsAcrossPieces) {
  std::vector<std::string> documents(50, "one two, 12 34");
  for (const std::string& token : learned(documents, options_for(100))) {
    EXPECT_EQ(token.find(' ', 1), std::string::npos) << token;
    EXPECT_FALSE(token.find('e') != token.npos && token.find('t') != token.npos) << token;
  }
}

TEST(BpeTrainer, StopsWhenNoPairOccursTwice) {
  EXPECT_TRUE(learned({"abc def"}, options_for(100)).empty());
  EXPECT_EQ(learned({"ab", "ab"}, options_for(100)), (Tokens{"ab"}));
  EXPECT_TRUE(learned({}, options_for(100)).empty());
}

TEST(BpeTrainer, MakesNoTokenLongerThanAsked) {
  auto options = options_for(200);
  options.max_token_bytes = 5;
  size_t longest = 0;
  for (const std::string& token : learned(small_corpus(), options)) {
    longest = std::max(longest, token.size());
  }
  EXPECT_EQ(longest, 5u);
}

TEST(BpeTrainer, GivesTheSameVocabularyEveryTimeAndInAnyOrderOfDocuments) {
  const auto options = options_for(300);
  auto reversed = small_corpus();
  std::reverse(reversed.begin(), reversed.end());
  const auto first = learned(small_corpus(), options);
  EXPECT_EQ(first, learned(small_corpus(), options));
  EXPECT_EQ(first, learned(reversed, options));
}

TEST(BpeTrainer, LearnsNoTokenTwiceAndReachesEachFromItsOwnBytes) {
  auto options = options_for(400);
  options.min_pair_count = 1;
  const auto tokenizer =
      text::Tokenizer::create(text::train_tokenizer(documents_of(small_corpus()), options));
  const text::Vocabulary& vocabulary = tokenizer->vocabulary();
  ASSERT_GT(vocabulary.size(), 500);
  const auto merges = text::minimal_merges(vocabulary);
  EXPECT_EQ(static_cast<text::TokenId>(merges.size()), vocabulary.size() - 256);
  const text::MergeTable table(merges);
  std::array<text::TokenId, 256> byte_ids{};
  for (int byte = 0; byte < 256; ++byte) byte_ids[static_cast<size_t>(byte)] = byte;
  text::BytePairEncoder encoder(table, byte_ids);
  for (text::TokenId id = 0; id < vocabulary.size(); ++id) {
    std::vector<text::TokenId> ids;
    encoder.encode(vocabulary.bytes(id), ids);
    EXPECT_EQ(ids, std::vector<text::TokenId>{id});
  }
}

TEST(BpeTrainer, PutsSpecialTokensLastInTheirOrder) {
  text::TrainTokenizerOptions options;
  options.vocab_size = 350;
  const auto spec = text::train_tokenizer(documents_of(small_corpus()), options);
  EXPECT_EQ(options.special_tokens, text::compact_special_tokens());
  ASSERT_EQ(spec.tokens.size(), 350 - options.special_tokens.size());
  text::TokenId id = 350 - static_cast<text::TokenId>(options.special_tokens.size());
  for (const std::string& special : options.special_tokens)
    EXPECT_EQ(spec.specials.at(special), id++);
}

TEST(BpeTrainer, CompactSpecialTokensKeepTheOrderOfTheFullList) {
  const auto& full = text::llama4_special_tokens();
  auto from = full.begin();
  for (const std::string& special : text::compact_special_tokens()) {
    from = std::find(from, full.end(), special);
    ASSERT_NE(from, full.end()) << special;
  }
}

TEST(BpeTrainer, RefusesAVocabularyWithoutRoomForBytesAndSpecialTokens) {
  auto options = options_for(-1);
  EXPECT_THROW(learned({}, options), UsageError);
  options = options_for(10);
  options.special_tokens = {"<|x|>", "<|x|>"};
  EXPECT_THROW(learned({}, options), UsageError);
  options.special_tokens = {""};
  EXPECT_THROW(learned({}, options), UsageError);
}

TEST(BpeTrainer, LearnsFromBytesThatAreNotUtf8) {
  EXPECT_EQ(learned({"\xFF\xFE", "\xFF\xFE"}, options_for(10)), (Tokens{"\xFF\xFE"}));
}

TEST(BpeTrainer, ReportsProgress) {
  int64_t merging = 0;
  auto options = options_for(80);
  text::train_tokenizer(documents_of(small_corpus()), options, [&](const auto& progress) {
    EXPECT_EQ(progress.total, 80);
    merging = progress.done;
  });
  EXPECT_EQ(merging, 64);
}

TEST(PieceCounter, KeepsTheFrequentPiecesWhenItMustForget) {
  text::PieceCounter counter(text::make_splitter(std::string(text::kLlama4Pattern)), 100);
  const Philox random(3);
  for (uint64_t i = 0; i < 5000; ++i) {
    counter.add(" common");
    std::string rare = " ";
    for (uint64_t j = 0; j < 8; ++j) rare += static_cast<char>('a' + random.below(26, 8 * i + j));
    counter.add(rare);
    ASSERT_LE(counter.distinct(), 100);
  }
  EXPECT_GT(counter.forgotten_below(), 1);
  const auto sorted = counter.sorted();
  EXPECT_TRUE(std::any_of(sorted.begin(), sorted.end(), [](const auto& piece) {
    return piece.bytes == " common" && piece.count == 5000;
  }));
}

}  // namespace
}  // namespace corral::test
