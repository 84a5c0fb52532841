#include "text/stop_strings.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/random.h"

namespace corral::test {
namespace {

TEST(StopStrings, HoldBackWhatCouldBecomeAStop) {
  text::StopStrings stops({"\nUser:"});
  EXPECT_EQ(stops.push("Hi\nUs"), "Hi");
  EXPECT_EQ(stops.push("ually"), "\nUsually");
  EXPECT_EQ(stops.push(" yes\nUser"), " yes");
  EXPECT_EQ(stops.push(": more"), "");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.found(), "\nUser:");
  EXPECT_EQ(stops.push("dropped"), "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStrings, GiveBackWhatWasHeldWhenTheTextEnds) {
  text::StopStrings stops({"END"});
  EXPECT_EQ(stops.push("the EN"), "the ");
  EXPECT_EQ(stops.finish(), "EN");
  EXPECT_FALSE(stops.stopped());
}

TEST(StopStrings, LetTheOneThatIsCompleteFirstWin) {
  text::StopStrings stops({"abcd", "bc"});
  EXPECT_EQ(stops.push("xabcd"), "xa");
  EXPECT_EQ(stops.found(), "bc");
  text::StopStrings nested({"c", "abc"});
  EXPECT_EQ(nested.push("xabc"), "x");
  EXPECT_EQ(nested.found(), "abc");
}

TEST(StopStrings, FindAStopThatBeginsInsideAFailedOne) {
  text::StopStrings stops({"aab"});
  EXPECT_EQ(stops.push("aa"), "");
  EXPECT_EQ(stops.push("ab"), "a");
  EXPECT_TRUE(stops.stopped());
}

TEST(StopStrings, PassEverythingThroughWithoutStops) {
  text::StopStrings stops({"", ""});
  EXPECT_EQ(stops.push("text"), "text");
  EXPECT_FALSE(stops.stopped());
}

TEST(StopStrings, ShowTheSameHoweverTheTextIsCut) {
  const Philox random(2);
  uint64_t draw = 0;
  for (int round = 0; round < 5000; ++round) {
    const auto word = [&](uint64_t longest) {
      std::string text;
      const uint64_t n = 1 + random.below(longest, draw++);
      for (uint64_t i = 0; i < n; ++i) text += static_cast<char>('a' + random.below(2, draw++));
      return text;
    };
    const std::vector<std::string> list = {word(6) + "c", word(8), word(8)};
    const std::string text = word(40);
    // The first stop string to be complete, of those that end there the longest.
    std::optional<std::string> expected;
    for (size_t end = 1; end <= text.size() && !expected; ++end) {
      size_t longest = 0;
      for (const std::string& stop : list) {
        if (std::string_view(text).substr(0, end).ends_with(stop))
          longest = std::max(longest, stop.size());
      }
      if (longest > 0) expected = text.substr(0, end - longest);
    }
    text::StopStrings stops(list);
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + random.below(4, draw++);
      shown += stops.push(text.substr(at, n));
      at += n;
    }
    shown += stops.finish();
    ASSERT_EQ(stops.stopped(), expected.has_value());
    ASSERT_EQ(shown, expected.value_or(text));
  }
}

}  // namespace
}  // namespace corral::test
