#include "text/utf8_stream.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "text/unicode.h"

namespace corral::test {
namespace {

TEST(Utf8Stream, HoldsACharacterBackUntilItIsComplete) {
  text::Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0"), "a");
  EXPECT_EQ(stream.push("\x9F\x99"), "");
  EXPECT_EQ(stream.push("\x82"
                        "b"),
            "\xF0\x9F\x99\x82"
            "b");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, ReplacesWhatIsUnfinishedAtTheEnd) {
  text::Utf8Stream stream;
  EXPECT_EQ(stream.push("x\xE2\x82"), "x");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.push("y"), "y");
}

TEST(Utf8Stream, DoesNotWaitForBytesThatCannotFollow) {
  text::Utf8Stream stream;
  EXPECT_EQ(stream.push("\xED\xA0"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // would be a surrogate
  EXPECT_EQ(stream.push("\xFF"), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.push("\xE2"), "");
  EXPECT_EQ(stream.push("a"),
            "\xEF\xBF\xBD"
            "a");
}

TEST(Utf8Stream, GivesTheSameTextHoweverTheBytesAreCut) {
  const Philox random(1);
  uint64_t draw = 0;
  const std::string interesting =
      "a\x80\xBF\xC2\xE0\xE2\x82\xAC\xED\x9F\xA0\xF0\x90\x9F\x99\x82\xF4\x8F\xFF";
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (int i = 0; i < 20; ++i) bytes += interesting[random.below(interesting.size(), draw++)];
    text::Utf8Stream stream;
    std::string text;
    for (size_t at = 0; at < bytes.size();) {
      const size_t n = std::min<size_t>(random.below(5, draw++), bytes.size() - at);
      const std::string part = stream.push(bytes.substr(at, n));
      EXPECT_TRUE(text::is_valid_utf8(part));
      text += part;
      at += n;
    }
    text += stream.finish();
    ASSERT_EQ(text, text::utf8_with_replacement(bytes)) << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace corral::test
