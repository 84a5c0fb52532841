#include "io/names.h"

#include <gtest/gtest.h>

#include <string>

namespace corral::io {
namespace {

TEST(Names, OrdinaryNamesAreShownInQuotes) {
  EXPECT_EQ(show_name("blk.0.attn_q.weight"), "'blk.0.attn_q.weight'");
  EXPECT_EQ(show_name("größe"), "'größe'");
}

TEST(Names, HostileNamesStayOnOneLineOfText) {
  EXPECT_EQ(show_name("a\nb\x1b[2J"), "'a\\x0ab\\x1b[2J'");
  EXPECT_EQ(show_name("\xff\xc3"), "'\\xff\\xc3'");
  EXPECT_EQ(show_name(std::string_view("\0", 1)), "'\\x00'");
  EXPECT_LT(show_name(std::string(1 << 20, 'x')).size(), 120u);
  EXPECT_LT(show_name(std::string(1 << 20, '\n')).size(), 120u);
}

TEST(Names, OnlyWellFormedUtf8IsUtf8) {
  for (const char* good : {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80",
                           "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << show_name(good);
  }
  for (const char* bad :
       {"\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff"}) {
    EXPECT_FALSE(is_utf8(bad)) << show_name(bad);
  }
}

TEST(Names, TheNearestNameIsFound) {
  EXPECT_EQ(nearest_name("output_norm", {"output.weight", "output_norm.weight", "rope"}),
            "output_norm.weight");
  EXPECT_EQ(nearest_name("layers.4.wq", {"layers.3.wk", "layers.3.wq"}), "layers.3.wq");
  EXPECT_EQ(nearest_name("lm_head", {"zzzzzzzz"}), "");
  EXPECT_EQ(nearest_name(std::string(100000, 'x'), {"x"}), "");
}

}  // namespace
}  // namespace corral::io
