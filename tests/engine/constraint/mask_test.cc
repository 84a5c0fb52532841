#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "engine/constraint/configurations.h"
#include "engine/constraint/constraint.h"
#include "engine/constraint/grammar_text.h"
#include "text/small_tokenizer.h"

namespace corral::engine {
namespace {

std::shared_ptr<const TokenTrie> vocabulary() {
  static const auto trie = TokenTrie::create(test::small_tokenizer());
  return trie;
}

// The mask by its definition: token by token, byte by byte.
TokenMask mask_by_hand(Configurations& configurations, int32_t from) {
  const text::Tokenizer& tokenizer = vocabulary()->tokenizer();
  TokenMask mask(static_cast<size_t>(tokenizer.vocab_size()));
  for (int32_t token = 0; token < tokenizer.vocab_size(); ++token) {
    if (tokenizer.is_special(token)) {
      if (tokenizer.is_stop(token) && configurations.can_end(from)) mask.set(token);
      continue;
    }
    int32_t at = from;
    for (const char byte : tokenizer.token_bytes(token)) {
      if (at != Configurations::kDead) at = configurations.step(at, static_cast<uint8_t>(byte));
    }
    if (at != Configurations::kDead) mask.set(token);
  }
  return mask;
}

const std::vector<std::string>& grammars() {
  static const std::vector<std::string> list = {
      "root ::= [a-z ]{3,40}",
      R"(root ::= "the " ("sea" | "hen" | "horse") " " root | "return" [^é]*)",
      R"(root ::= value
         value ::= "{" (pair (", " pair)*)? "}" | "[" (value (", " value)*)? "]" | text | number
         pair ::= text ": " value
         text ::= "\"" ([^"\\\u0000-\u001F] | "\\" ["\\/bfnrt])* "\""
         number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)?)",
      // Rules of one character each, whose ends tokens cross all the time; and much ambiguity.
      R"(root ::= word (" " word)* "."
         word ::= any word | any
         any ::= letter | other
         letter ::= [a-z] | "th" | "the"   other ::= [^a-z .] | "e")",
      R"(root ::= "a" root "a" | "b" root "b" | [a-z]*)",
      "root ::= /(\\S+ ){2,}Fluß[^x]*/",
  };
  return list;
}

// Draws tokens at random and compares every mask on the way.
void walk(const std::string& grammar, uint32_t seed, size_t most_bytes) {
  const auto constraint =
      std::make_shared<Constraint>(parse_grammar(grammar), vocabulary(), most_bytes);
  Configurations configurations(constraint->automaton());
  Matcher matcher(constraint);
  std::mt19937 random(seed);
  int32_t at = configurations.start();
  std::string text;
  for (int step = 0; step < 60; ++step) {
    const MaskPtr mask = matcher.mask();
    const TokenMask expected = mask_by_hand(configurations, at);
    ASSERT_TRUE(std::equal(mask->words().begin(), mask->words().end(), expected.words().begin()))
        << grammar << " after " << text;
    ASSERT_EQ(matcher.can_end(), configurations.can_end(at));
    std::vector<int32_t> tokens;
    for (int32_t token = 0; token < vocabulary()->tokenizer().vocab_size(); ++token) {
      if (mask->has(token) && !vocabulary()->tokenizer().is_special(token)) tokens.push_back(token);
    }
    ASSERT_EQ(tokens.empty(), matcher.must_end());
    if (tokens.empty()) break;
    const int32_t token = tokens[random() % tokens.size()];
    matcher.accept(token);
    const std::string_view bytes = vocabulary()->tokenizer().token_bytes(token);
    for (const char byte : bytes) at = configurations.step(at, static_cast<uint8_t>(byte));
    text += bytes;
  }
}

TEST(Mask, IsExact) {
  for (const std::string& grammar : grammars()) {
    for (uint32_t seed = 0; seed < 8; ++seed) walk(grammar, seed, size_t{1} << 26);
  }
}

TEST(Mask, StaysExactWhenWhatWasFoundIsForgotten) {
  for (const std::string& grammar : grammars()) walk(grammar, 1, 2000);
}

TEST(Mask, AnswersOfOneConstraintDoNotDisturbEachOther) {
  const auto constraint =
      std::make_shared<Constraint>(parse_grammar(grammars()[2]), vocabulary(), 4000);
  Matcher a(constraint);
  Matcher b(constraint);
  const auto token = [](char c) { return *test::small_tokenizer()->token_id({&c, 1}); };
  a.accept(token('['));
  b.accept(token('{'));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(a.mask()->has(token(']')));
    EXPECT_FALSE(a.mask()->has(token('}')));
    EXPECT_TRUE(b.mask()->has(token(i == 0 ? '}' : ']')));
    a.accept(token('['));
    b.accept(token(i == 0 ? '"' : '['));
    if (i == 0) {
      for (const char c : {'"', ':', ' ', '['}) b.accept(token(c));
    }
  }
}

TEST(Mask, HasNoSpecialTokenButTheEnd) {
  const auto& tokenizer = *test::small_tokenizer();
  Matcher matcher(
      std::make_shared<Constraint>(parse_grammar("root ::= \"<|eot|>\"* [^a]?"), vocabulary()));
  const auto eot = *tokenizer.eot_id();
  EXPECT_TRUE(matcher.mask()->has(eot));
  EXPECT_FALSE(matcher.mask()->has(*tokenizer.special_id(text::special::kHeaderStart)));
  EXPECT_FALSE(matcher.mask()->has(tokenizer.vocab_size() + 100));
  matcher.accept(*tokenizer.token_id("<"));
  matcher.accept(*tokenizer.token_id("|"));
  EXPECT_FALSE(matcher.can_end());
  EXPECT_FALSE(matcher.mask()->has(eot));  // though its spelling would go on
  EXPECT_THROW(matcher.accept(eot), Error);
  EXPECT_THROW(matcher.accept(*tokenizer.token_id("x")), Error);
}

TEST(Mask, SharesWhatAmbiguousTextsHaveInCommon) {
  // Two to the power of 2000 ways to read the text, and two threads.
  const std::string grammar = R"(root ::= "a" root "a" | "a" root "b" | "c")";
  Matcher matcher(std::make_shared<Constraint>(parse_grammar(grammar), vocabulary()));
  const int32_t a = *test::small_tokenizer()->token_id("a");
  for (int i = 0; i < 2000; ++i) matcher.accept(a);
  EXPECT_TRUE(matcher.mask()->has(a));
}

}  // namespace
}  // namespace corral::engine
