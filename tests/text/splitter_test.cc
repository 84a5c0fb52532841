#include "text/splitter.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"

namespace corral::test {
namespace {

std::vector<std::string> pieces(const text::Splitter& splitter, const std::string& text) {
  std::vector<std::string> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = splitter.piece_end(text, at);
    EXPECT_GT(end, at);
    EXPECT_LE(end, text.size());
    if (end <= at) break;
    pieces.push_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

std::vector<std::string> pieces(const std::string& text) {
  return pieces(*text::make_splitter(std::string(text::kLlama4Pattern)), text);
}

using Pieces = std::vector<std::string>;

TEST(Llama4Splitter, KeepsASpaceWithTheWordAndTheContraction) {
  EXPECT_EQ(pieces("I'll go, WE'VE gone"), (Pieces{"I'll", " go", ",", " WE'VE", " gone"}));
}

TEST(Llama4Splitter, CutsBeforeACapitalInsideAWordAndNumbersAfterThreeDigits) {
  EXPECT_EQ(pieces("camelCase XMLFile 1234567"),
            (Pieces{"camel", "Case", " XMLFile", " ", "123", "456", "7"}));
}

TEST(Llama4Splitter, LeavesTheLastSpaceOfARunToTheNextWord) {
  EXPECT_EQ(pieces("a   b\n\n  c  "), (Pieces{"a", "  ", " b", "\n\n", " ", " c", "  "}));
}

TEST(Llama4Splitter, TakesSlashesAndNewlinesBehindSymbols) {
  EXPECT_EQ(pieces("x;//\r\n//y"), (Pieces{"x", ";//\r\n//", "y"}));
}

TEST(Llama4Splitter, FoldsTheLongSInContractions) {
  EXPECT_EQ(pieces("it'\xC5\xBF ok"), (Pieces{"it'\xC5\xBF", " ok"}));
}

TEST(Llama4Splitter, TreatsBytesThatAreNotUtf8AsSymbols) {
  EXPECT_EQ(pieces("ab\xFF\xC3 cd"), (Pieces{"ab", "\xFF\xC3", " cd"}));
  EXPECT_EQ(pieces("\xE4\xBD"), (Pieces{"\xE4\xBD"}));
}

// Every class of the pattern, with the characters on which it branches.
const std::vector<std::string> kAlphabet = {
    "a",
    "b",
    "s",
    "S",
    "T",
    "l",
    "L",
    "r",
    "e",
    "E",
    "v",
    "V",
    "m",
    "M",
    "D",
    "Q",
    "'",
    "'",
    " ",
    " ",
    " ",
    "\t",
    "\n",
    "\r",
    "\v",
    "\f",
    "/",
    "/",
    "!",
    ".",
    "-",
    "_",
    "0",
    "7",
    "\x1C",
    "\x1F",
    "\xC2\x85",
    "\xC2\xA0",
    "\xC3\xA9",
    "\xC3\x89",
    "\xC5\xBF",
    "\xC7\x85",          // Lt
    "\xCA\xB0",          // Lm
    "\xCC\x81",          // Mn
    "\xD9\xA3",          // Nd
    "\xE2\x85\xA7",      // Nl
    "\xE2\x80\xA8",      // Zl
    "\xE3\x80\x80",      // Zs
    "\xE4\xBD\xA0",      // Lo
    "\xE2\x84\xAA",      // Kelvin sign, Lu
    "\xF0\x9F\x99\x82",  // So
    "\xF0\x90\x90\x80",  // Lu beyond the BMP
    "\xF3\xA0\x84\x80",  // Mn beyond the BMP
};

TEST(Llama4Splitter, AgreesWithTheRegularExpressionOnRandomText) {
  const auto by_hand = text::make_splitter(std::string(text::kLlama4Pattern));
  const auto by_regex = text::make_regex_splitter(std::string(text::kLlama4Pattern));
  const Philox random(17);
  uint64_t draw = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const uint64_t length = 1 + random.below(24, draw++);
    // A small part of the alphabet at a time makes long runs and returns.
    const uint64_t distinct = 1 + random.below(6, draw++);
    const uint64_t first = random.below(kAlphabet.size(), draw++);
    const uint64_t step = 1 + random.below(kAlphabet.size() - 1, draw++);
    for (uint64_t i = 0; i < length; ++i) {
      const uint64_t pick = first + step * random.below(distinct, draw++);
      text += kAlphabet[pick % kAlphabet.size()];
    }
    ASSERT_EQ(pieces(*by_hand, text), pieces(*by_regex, text)) << testing::PrintToString(text);
  }
}

TEST(RegexSplitter, KeepsWhatThePatternDoesNotMatchAsPieces) {
  const auto splitter = text::make_splitter("[a-z]+");
  EXPECT_EQ(pieces(*splitter, "ab12cd34"), (Pieces{"ab", "12", "cd", "34"}));
  EXPECT_EQ(pieces(*text::make_splitter("x*"), "abc"), (Pieces{"abc"}));
}

TEST(RegexSplitter, GivesUpOnAPatternThatBacktracksForEver) {
  const auto splitter = text::make_splitter("(?:a|aa|aaa)+$");
  const std::string text = std::string(60, 'a') + "b";
  EXPECT_THROW(splitter->piece_end(text, 0), Error);
}

TEST(RegexSplitter, RefusesAPatternThatDoesNotCompile) {
  try {
    text::make_splitter("[a-");
    FAIL();
  } catch (const CorruptFile& error) {
    EXPECT_NE(std::string(error.what()).find("not a regular expression"), std::string::npos);
  }
}

std::vector<size_t> slice_sizes(const std::string& text) {
  std::vector<size_t> sizes;
  text::TextSlices slices(text);
  for (auto slice = slices.next(); !slice.empty(); slice = slices.next())
    sizes.push_back(slice.size());
  return sizes;
}

TEST(TextSlices, CutRunsAfter25000Characters) {
  EXPECT_EQ(slice_sizes(std::string(25000, 'x')), (std::vector<size_t>{25000}));
  EXPECT_EQ(slice_sizes(std::string(25001, 'x')), (std::vector<size_t>{25000, 1}));
  EXPECT_EQ(slice_sizes("ab" + std::string(25001, ' ')), (std::vector<size_t>{25002, 1}));
  // Python counts the separator as white space, so the run goes on.
  EXPECT_EQ(slice_sizes(std::string(20000, ' ') + std::string(5001, '\x1C')),
            (std::vector<size_t>{25000, 1}));
}

TEST(TextSlices, CountCharactersAndNotBytes) {
  std::string text;
  for (int i = 0; i < 25001; ++i) text += "\xC3\xA9";
  EXPECT_EQ(slice_sizes(text), (std::vector<size_t>{50000, 2}));
}

TEST(TextSlices, CutAnyTextAfter400000Characters) {
  std::string text;
  while (text.size() < 400'010) text += "a ";
  EXPECT_EQ(slice_sizes(text), (std::vector<size_t>{400'000, 10}));
  EXPECT_TRUE(slice_sizes("").empty());
}

}  // namespace
}  // namespace corral::test
