#include "base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <thread>

namespace corral {
namespace {

using ::testing::MatchesRegex;

TEST(Progress, WorkThatEndsAtOnceShowsNothing) {
  for (const bool terminal : {false, true}) {
    std::ostringstream out;
    {
      Progress progress(out, terminal, "loading", 100, "MB");
      progress.update(50);
      progress.update(100);
    }
    EXPECT_EQ(out.str(), "");
  }
}

// One test for all forms, since each of them has to wait until progress is shown.
TEST(Progress, LongWorkIsShownByALineRedrawnOnATerminalAndByPlainLinesElsewhere) {
  std::ostringstream terminal_out, plain_out, open_out;
  {
    Progress terminal(terminal_out, true, "quantizing", 200, "MB");
    Progress plain(plain_out, false, "quantizing", 200, "MB");
    Progress open(open_out, false, "reading", 0, "tokens");
    std::this_thread::sleep_for(std::chrono::milliseconds(2010));
    for (int i = 0; i < 3; ++i) {  // too soon after the first for either to draw again
      terminal.update(50);
      plain.update(50);
      open.update(1234, "3 shards");
    }
    terminal.update(200);
    plain.update(200);
    plain.finish();
    plain.finish();
  }
  EXPECT_THAT(terminal_out.str(),
              MatchesRegex("\rquantizing \\[######                  \\] 25% 50.0/200 MB, "
                           "2[0-9].[0-9] MB/s, [0-9]+s left\x1b\\[K"
                           "\rquantizing \\[########################\\] 100% 200/200 MB, "
                           "[0-9.]+ MB/s\x1b\\[K\n"));
  EXPECT_THAT(plain_out.str(),
              MatchesRegex("quantizing 25% 50.0/200 MB, 2[0-9].[0-9] MB/s, [0-9]+s left\n"
                           "quantizing 100% 200/200 MB, [0-9.]+ MB/s\n"));
  EXPECT_THAT(open_out.str(), MatchesRegex("reading 1234 tokens, [0-9]+ tokens/s, 3 shards\n"
                                           "reading 1234 tokens, [0-9]+ tokens/s, 3 shards\n"));
}

TEST(FormatDuration, UsesTheTwoLargestUnits) {
  EXPECT_EQ(format_duration(0), "0s");
  EXPECT_EQ(format_duration(-3), "0s");
  EXPECT_EQ(format_duration(12.4), "12s");
  EXPECT_EQ(format_duration(59.6), "1m 00s");
  EXPECT_EQ(format_duration(187), "3m 07s");
  EXPECT_EQ(format_duration(3720), "1h 02m");
  EXPECT_EQ(format_duration(360000), "100h 00m");
}

TEST(FormatDuration, HoldsForAnyNumber) {
  EXPECT_EQ(format_duration(1e30), "9999h 00m");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "9999h 00m");
  EXPECT_EQ(format_duration(std::nan("")), "9999h 00m");
}

}  // namespace
}  // namespace corral
