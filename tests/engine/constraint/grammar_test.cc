#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/error.h"
#include "engine/constraint/configurations.h"
#include "engine/constraint/constraint.h"
#include "engine/constraint/grammar_text.h"

namespace corral::engine {
namespace {

using ::testing::HasSubstr;

bool matches(const std::string& grammar, std::string_view text) {
  return follows(Automaton(parse_grammar(grammar)), text);
}
std::string refused(const std::string& grammar) {
  try {
    const Automaton automaton(parse_grammar(grammar));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Grammar, ReadsTextsClassesGroupsAndRepetitions) {
  const std::string list = R"(
    root   ::= "[" (number ("," number)*)? "]"   # a list
    number ::= "-"? [0-9]+ ("." [0-9]{1,3})?
  )";
  for (const char* good : {"[]", "[1]", "[-1.5,22]", "[0.123]"})
    EXPECT_TRUE(matches(list, good)) << good;
  for (const char* bad : {"", "[", "[1,]", "[.5]", "[0.1234]", "[]]", "[--1]"}) {
    EXPECT_FALSE(matches(list, bad)) << bad;
  }
}

TEST(Grammar, KnowsCharactersOfEveryLength) {
  const std::string grammar = "root ::= [α-ω]+ [^\\u0000-\\uFFFF] . \"\\x41\\U0001F40E\\n\"";
  EXPECT_TRUE(matches(grammar, "αβγ🌊éA🐎\n"));
  EXPECT_FALSE(matches(grammar, "αβγééA🐎\n"));
  EXPECT_FALSE(matches(grammar,
                       "αβγ🌊\xC3"
                       "A🐎\n"));
  // Every cut of a range of characters into ranges of bytes, against the characters themselves.
  const std::string range = "root ::= [\\u007F-\\U00010FFE]";
  const Automaton automaton(parse_grammar(range));
  for (uint32_t c = 1; c < 0x11000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    if (c < 0x80) {
      text = {static_cast<char>(c)};
    } else if (c < 0x800) {
      text = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      text = {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
              static_cast<char>(0x80 | (c & 63))};
    } else {
      text = {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
              static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    }
    ASSERT_EQ(follows(automaton, text), c >= 0x7F && c <= 0x10FFE) << c;
  }
}

TEST(Grammar, RecursesInTheMiddleAndAtTheEnd) {
  const std::string nested = R"(root ::= "a" root "b" | "")";
  EXPECT_TRUE(matches(nested, ""));
  EXPECT_TRUE(matches(nested, "aaabbb"));
  EXPECT_FALSE(matches(nested, "aaabb"));
  EXPECT_FALSE(matches(nested, "aabbb"));
  const std::string list = R"g(root ::= item root | item   item ::= [a-z] | "(" root ")")g";
  EXPECT_TRUE(matches(list, "ab(c(d)e)f"));
  EXPECT_FALSE(matches(list, "ab(c(d)e"));
  EXPECT_FALSE(matches(list, "ab()"));
}

TEST(Grammar, FollowsAllWaysToReadAnAmbiguousText) {
  // Palindromes: the middle is anywhere.
  const std::string palindromes = R"(root ::= "a" root "a" | "b" root "b" | "a" | "b" | "")";
  EXPECT_TRUE(matches(palindromes, "abaababaaba"));
  EXPECT_TRUE(matches(palindromes, std::string(300, 'a')));
  EXPECT_FALSE(matches(palindromes, "abaabab"));
  // Empty parts on both sides, and two ways through each level.
  const std::string twice =
      R"(root ::= x "-" x   x ::= y? z? y?   y ::= "y" x "!" | "q"   z ::= "z"*)";
  EXPECT_TRUE(matches(twice, "-"));
  EXPECT_TRUE(matches(twice, "yzzyq!!zzq-yy!!q"));
  EXPECT_FALSE(matches(twice, "yzzyq!!zzqz-"));
}

TEST(Grammar, ReturnsToTheRightCallers) {
  const std::string grammar = R"g(
    root ::= "1" item "x" | "2" item "y"
    item ::= "(" (root | "") ")" | "_"
  )g";
  EXPECT_TRUE(matches(grammar, "1(2(1_x)y)x"));
  EXPECT_FALSE(matches(grammar, "1(2(1_x)y)y"));
  EXPECT_FALSE(matches(grammar, "1(2(1_x)x)x"));
}

TEST(Grammar, TakesRegularExpressionsAsParts) {
  EXPECT_TRUE(matches(R"(root ::= /\d{4}-\d\d/ "T" /a|b\/c/)", "2024-05Tb/c"));
  EXPECT_FALSE(matches(R"(root ::= /\d{4}-\d\d/ "T" /a|b\/c/)", "2024-5Tb/c"));
}

TEST(Grammar, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(refused("root ::= \"a"), HasSubstr("line 1, column 12 needs the \""));
  EXPECT_THAT(refused("root ::= \"a\"\nroot ::= \"b\""),
              HasSubstr("line 2, column 1 defines the rule root again"));
  EXPECT_THAT(refused("root ::= x"), HasSubstr("column 10 uses the rule x"));
  EXPECT_THAT(refused("x ::= \"a\""), HasSubstr("no rule named root"));
  EXPECT_THAT(refused("root ::= (\"a\""), HasSubstr("needs the )"));
  EXPECT_THAT(refused("root ::= \"a\"{3,2}"), HasSubstr("at least more often"));
  EXPECT_THAT(refused("root ::= [z-a]"), HasSubstr("ends before it begins"));
  EXPECT_THAT(refused("root ::= \"\\q\""), HasSubstr("unknown escape"));
  EXPECT_THAT(refused("root ::= /(/"), HasSubstr("( without its )"));
  EXPECT_THAT(refused("root ::= \"a\" ) \"b\""), HasSubstr("does not belong here"));
  EXPECT_THAT(refused("root"), HasSubstr("needs ::="));
  EXPECT_THAT(refused(""), HasSubstr("no rule named root"));
  EXPECT_THAT(refused(std::string(200, '(')), HasSubstr("name of a rule"));
  EXPECT_THAT(refused("root ::= " + std::string(200, '(')), HasSubstr("deeper than 100"));
}

TEST(Grammar, RefusesWhatCannotBeFollowed) {
  EXPECT_THAT(refused(R"(root ::= root "a" | "b")"), HasSubstr("the rule root is left recursive"));
  // Hidden behind something that may be empty.
  EXPECT_THAT(refused(R"(root ::= x? y   x ::= "x"   y ::= x? root "!" | "y")"),
              HasSubstr("left recursive"));
  EXPECT_THAT(refused(R"(root ::= "a" root)"), HasSubstr("no text at all"));
  EXPECT_THAT(refused("root ::= [a-z]{90000} [a-z]{90000} [a-z]{90000} [a-z]{90000}"),
              HasSubstr("states"));
  EXPECT_THAT(refused("root ::= (((\"a\"{1000}){1000}){1000}){1000}"), HasSubstr("states"));
  EXPECT_THAT(refused(std::string(kMostGrammarBytes + 1, ' ')), HasSubstr("bytes"));
}

TEST(Grammar, PatternsOfManyOverlappingRangesEndSoon) {
  // Every range lies within the one before: one state of 30,000 others, and 60,000 slices of them.
  const auto nested = [](int count) {
    std::string pattern;
    for (int i = 0; i < count; ++i) {
      pattern += str(i == 0 ? "" : "|", "[\\u{", to_hex(static_cast<uint64_t>(0x1000 + i), 5),
                     "}-\\u{", to_hex(static_cast<uint64_t>(0x10000 - i), 5), "}]", i);
    }
    return pattern;
  };
  EXPECT_TRUE(follows(Automaton(regex_grammar(nested(300))), "\u1001\u0031"));
  EXPECT_THROW(regex_grammar(nested(30'000)), UsageError);
}

TEST(Grammar, LeavesOutWhatCannotBeCompleted) {
  const std::string grammar = R"(root ::= "a" loop | "ab"   loop ::= "b" loop)";
  EXPECT_TRUE(matches(grammar, "ab"));
  // Behind "ab" nothing may come: the loop would never end.
  const Automaton automaton(parse_grammar(grammar));
  Configurations configurations(automaton);
  int32_t at = configurations.start();
  for (const char c : {'a', 'b'}) at = configurations.step(at, static_cast<uint8_t>(c));
  EXPECT_TRUE(configurations.can_end(at));
  EXPECT_FALSE(configurations.can_go_on(at));
}

TEST(Grammar, ManyRulesInARowAreNoDepth) {
  std::string grammar = "root ::= r0 \"!\"\n";
  for (int i = 0; i < 20000; ++i)
    grammar += "r" + std::to_string(i) + " ::= \"\" | r" + std::to_string(i + 1) + "\n";
  grammar += "r20000 ::= \"x\"*";
  EXPECT_TRUE(matches(grammar, "xxx!"));
  EXPECT_TRUE(matches(grammar, "!"));
}

}  // namespace
}  // namespace corral::engine
