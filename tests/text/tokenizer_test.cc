#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "base/error.h"
#include "base/random.h"
#include "text/goldens.h"
#include "text/small_tokenizer.h"
#include "text/tokenizer_files.h"

namespace corral::test {
namespace {

using testing::HasSubstr;
using text::SpecialText;
using text::TokenId;
using text::Tokenizer;
using text::TokenizerSpec;
using Ids = std::vector<TokenId>;

TokenizerSpec byte_spec() {
  TokenizerSpec spec;
  spec.pattern = text::kLlama4Pattern;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back({static_cast<char>(byte)});
  return spec;
}

std::string message_of(const TokenizerSpec& spec) {
  try {
    Tokenizer::create(spec);
  } catch (const CorruptFile& error) {
    return error.what();
  }
  return "no error";
}

std::string random_bytes(uint64_t key, uint64_t size_bytes) {
  const Philox random(key);
  std::string bytes;
  for (uint64_t i = 0; i < size_bytes; ++i) bytes += static_cast<char>(random.below(256, i));
  return bytes;
}

TEST(Tokenizer, GivesEveryTextBack) {
  const auto tokenizer = small_tokenizer();
  for (const std::string& text : small_corpus()) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
  const auto golden = read_json(data_dir() / "tokenizer/cases.json");
  for (const auto& c : golden["cases"]) {
    const auto text = c["text"].get<std::string>();
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(Tokenizer, GivesBytesThatAreNotUtf8Back) {
  for (uint64_t key = 0; key < 50; ++key) {
    const std::string bytes = random_bytes(key, 500);
    EXPECT_EQ(small_tokenizer()->decode(small_tokenizer()->encode(bytes)), bytes);
  }
}

TEST(Tokenizer, EncodesSpecialTokensInTextAsPlainTextUnlessAsked) {
  const auto tokenizer = small_tokenizer();
  const std::string text = "a<|eot|>b<|eom|>";
  const TokenId eot = tokenizer->eot_id().value();
  const TokenId eom = tokenizer->eom_id().value();
  EXPECT_THAT(tokenizer->encode(text), testing::Each(testing::Lt(tokenizer->vocabulary().size())));
  EXPECT_EQ(tokenizer->encode(text, {.special = SpecialText::kAll}),
            (Ids{tokenizer->encode("a")[0], eot, tokenizer->encode("b")[0], eom}));
  const Ids only_eom =
      tokenizer->encode(text, {.special = SpecialText::kAllowed, .allowed = {"<|eom|>"}});
  EXPECT_EQ(only_eom.back(), eom);
  EXPECT_THAT(only_eom, testing::Not(testing::Contains(eot)));
  EXPECT_EQ(tokenizer->decode(only_eom), text);
  EXPECT_THROW(tokenizer->encode(text, {.special = SpecialText::kAllowed, .allowed = {"<|no|>"}}),
               UsageError);
}

TEST(Tokenizer, TakesTheLongestOfTwoSpecialTokensThatBeginAlike) {
  auto spec = byte_spec();
  spec.specials = {{"<|a", 256}, {"<|a|>", 257}, {"|>", 258}};
  const auto tokenizer = Tokenizer::create(spec);
  EXPECT_EQ(tokenizer->encode("<|a|><|a|<|a", {.special = SpecialText::kAll}),
            (Ids{257, 256, '|', 256}));
}

TEST(Tokenizer, RefusesToDecodeIdsOutOfRange) {
  const auto tokenizer = small_tokenizer();
  EXPECT_EQ(tokenizer->vocab_size(), 360);
  for (const TokenId id : {-1, 360, INT32_MAX, INT32_MIN}) {
    EXPECT_THROW(tokenizer->decode(Ids{id}), UsageError);
    EXPECT_TRUE(tokenizer->token_bytes(id).empty());
    EXPECT_FALSE(tokenizer->is_special(id));
  }
}

TEST(Tokenizer, NamesBosAndStopTokensThatItsVocabularyHas) {
  const auto plain = Tokenizer::create(byte_spec());
  EXPECT_FALSE(plain->bos_id());
  EXPECT_TRUE(plain->stop_ids().empty());
  EXPECT_THROW(plain->encode("x", {.bos = true}), UsageError);
  const auto small = small_tokenizer();
  EXPECT_EQ(small->stop_ids(), (Ids{*small->eos_id(), *small->eom_id(), *small->eot_id()}));
  EXPECT_TRUE(small->is_stop(*small->eot_id()));
  EXPECT_FALSE(small->is_stop(*small->bos_id()));
}

TEST(Tokenizer, MergesByRankAndTheLeftmostOfEqualRank) {
  auto spec = byte_spec();
  spec.whole_pieces = false;
  spec.tokens.insert(spec.tokens.end(), {"aa", "bc", "ab", "aaa"});
  const auto tokenizer = Tokenizer::create(spec);
  EXPECT_EQ(tokenizer->encode("aaa"), Ids{259});
  EXPECT_EQ(tokenizer->encode("aaaaa"), (Ids{256, 259}));
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{'a', 257}));  // "bc" comes before "ab"
}

TEST(Tokenizer, FollowsTheOrderOfAListOfMergesWhereItIsNotThatOfIds) {
  auto spec = byte_spec();
  spec.tokens.insert(spec.tokens.end(), {"bc", "ab"});
  spec.merges = {{"a", "b"}, {"b", "c"}};
  EXPECT_EQ(Tokenizer::create(spec)->encode("abc"), (Ids{257, 'c'}));
  spec.merges = {{"b", "c"}, {"a", "b"}};
  EXPECT_EQ(Tokenizer::create(spec)->encode("abc"), (Ids{'a', 256}));
}

TEST(Tokenizer, MergesNothingThatAListOfMergesDoesNotName) {
  auto spec = byte_spec();
  spec.whole_pieces = false;
  spec.tokens.insert(spec.tokens.end(), {"ab", "bc", "abc"});
  spec.merges = {{"a", "b"}, {"b", "c"}, {"a", "bc"}};
  EXPECT_EQ(Tokenizer::create(spec)->encode("abc"), (Ids{256, 'c'}));
  spec.whole_pieces = true;
  EXPECT_EQ(Tokenizer::create(spec)->encode("abc"), Ids{258});
}

TEST(Tokenizer, EncodesLongPiecesLikeShortOnes) {
  // Longer than 64 bytes the encoder works with a heap: the same merges as by plain search.
  const auto tokenizer = small_tokenizer();
  const auto& vocabulary = tokenizer->vocabulary();
  const Philox random(5);
  uint64_t draw = 0;
  for (int round = 0; round < 300; ++round) {
    std::string piece;
    const uint64_t letters = 1 + random.below(5, draw++);
    while (piece.size() < 65 + random.below(100, draw++)) {
      piece += "aenbhors"[random.below(letters, draw++)];
    }
    std::vector<std::string> parts;
    for (const char c : piece) parts.push_back({c});
    while (true) {
      TokenId best = INT32_MAX;
      size_t at = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const TokenId id = vocabulary.find(parts[i] + parts[i + 1]);
        if (id >= 0 && id < best) {
          best = id;
          at = i;
        }
      }
      if (best == INT32_MAX) break;
      parts[at] += parts[at + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    Ids expected;
    for (const std::string& part : parts) expected.push_back(vocabulary.find(part));
    ASSERT_EQ(tokenizer->encode(piece), expected) << piece;
  }
}

TEST(Tokenizer, TakesLinearTimeOnAMegabyteOfAnything) {
  std::string emoji;
  while (emoji.size() < 1'000'000) emoji += "\xF0\x9F\x99\x82";
  std::string specials;
  while (specials.size() < 1'000'000) specials += "<|reserved_special_token_";
  const auto tokenizer = llama4_tokenizer() ? llama4_tokenizer() : small_tokenizer();
  for (const std::string& text :
       {std::string(1'000'000, 'a'), std::string(1'000'000, ' '), std::string(1'000'000, '\n'),
        std::string(1'000'000, '<'), std::string(1'000'000, '\xFF'), emoji, specials,
        random_bytes(1, 1'000'000)}) {
    Ids ids;
    const auto seconds = [&](std::string_view part) {  // of the processor: others run, too
      const std::clock_t start = std::clock();
      ids = tokenizer->encode(part, {.special = SpecialText::kAll});
      return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    };
    const double quarter = seconds(std::string_view(text).substr(0, 250'000));
    // Linear: four times as long; quadratic: sixteen times, minutes.
    EXPECT_LT(seconds(text), 8 * quarter + 0.5) << testing::PrintToString(text.substr(0, 10));
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

TEST(Tokenizer, ExportsASpecThatMakesTheSameTokenizer) {
  const auto tokenizer = small_tokenizer();
  const auto again = Tokenizer::create(tokenizer->spec());
  EXPECT_EQ(again->vocab_size(), tokenizer->vocab_size());
  for (const std::string& text : small_corpus()) {
    EXPECT_EQ(again->encode(text), tokenizer->encode(text));
  }
  auto spec = byte_spec();
  spec.tokens.insert(spec.tokens.end(), {"bc", "ab"});
  spec.merges = {{"a", "b"}, {"b", "c"}};
  EXPECT_EQ(Tokenizer::create(spec)->spec().merges, spec.merges);
}

TEST(Tokenizer, LetsSpecialTokensLiveInHolesOfTheNumbering) {
  auto spec = byte_spec();
  spec.tokens.insert(spec.tokens.begin(), "");  // as in files that number the special tokens first
  spec.specials = {{"<|end_of_text|>", 0}};
  const auto tokenizer = Tokenizer::create(spec);
  EXPECT_EQ(tokenizer->encode("A", {.eos = true}), (Ids{'A' + 1, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{0}), "<|end_of_text|>");
}

TEST(TokenizerErrors, NameATokenThatOccursTwice) {
  auto spec = byte_spec();
  spec.tokens.insert(spec.tokens.end(), {"ab", "cd", "ab"});
  EXPECT_EQ(message_of(spec), "tokenizer: token \"ab\" has id 256 and id 258");
}

TEST(TokenizerErrors, NameAByteWithoutToken) {
  auto spec = byte_spec();
  spec.tokens['A'] = "xyz";
  EXPECT_THAT(message_of(spec), HasSubstr("no token for the byte 65"));
}

TEST(TokenizerErrors, NameAMergeOfUnknownTokens) {
  auto spec = byte_spec();
  spec.merges = {{"a", "b"}};
  EXPECT_THAT(message_of(spec), HasSubstr("needs the token \"ab\""));
}

TEST(TokenizerErrors, NameSpecialTokensOnTakenOrImpossibleIds) {
  auto spec = byte_spec();
  spec.specials = {{"<|a|>", 'A'}};
  EXPECT_THAT(message_of(spec), HasSubstr("has id 65, which is the token \"A\""));
  spec.specials = {{"<|a|>", 300}, {"<|b|>", 300}};
  EXPECT_THAT(message_of(spec), HasSubstr("both have id 300"));
  spec.specials = {{"<|a|>", -1}};
  EXPECT_THAT(message_of(spec), HasSubstr("has id -1"));
  spec.specials = {{"<|a|>", INT32_MAX}};
  EXPECT_THAT(message_of(spec), HasSubstr("has id 2147483647"));
  spec.specials = {{"", 300}};
  EXPECT_THAT(message_of(spec), HasSubstr("needs a spelling"));
}

TEST(TokenizerErrors, NameATokenThatIsTooLong) {
  auto spec = byte_spec();
  spec.tokens.push_back(std::string(513, 'a'));
  EXPECT_THAT(message_of(spec), HasSubstr("token 256 has 513 bytes"));
}

}  // namespace
}  // namespace corral::test
