#include "train/plot_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "support/temp_dir.h"
#include "train/svg_chart.h"

namespace corral::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<Json> made_up_run(int steps) {
  std::vector<Json> lines;
  for (int step = 1; step <= steps; ++step) {
    Json line = {{"step", step},
                 {"tokens", step * 1000},
                 {"loss", 8.0 / step},
                 {"learning_rate", 1e-3},
                 {"gradient_norm", 1.5},
                 {"max_violation", {0.25, 0.5}},
                 {"speed", {{"seconds", 0.5}, {"tokens_per_second", 2000.0}}}};
    if (step % 10 == 0) line["experts"] = {{10, 30, 20}, {20, 20, 20}};
    lines.push_back(line);
    if (step % 20 == 0) {
      lines.push_back(
          {{"step", step}, {"validation", {{"all", {{"loss", 2.25}, {"bits_per_byte", 0.875}}}}}});
    }
  }
  return lines;
}

TEST(PlotPage, ShowsEveryCurveAndNeedsNothingFromOutside) {
  const std::string page = plot_page("my <run>", made_up_run(100));
  for (const char* part : {"Loss", "Learning rate", "Gradient norm", "Load of each expert",
                           "Throughput", "2.2500", "0.8750", "layer 1", "my &lt;run&gt;"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme: dark"));
  for (const char* outside : {"http:", "https:", "src=", "href=", "@import", "url(", "<run>"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

TEST(PlotPage, StaysSmallForLongRuns) {
  EXPECT_LT(plot_page("long", made_up_run(20'000)).size(), 600'000u);
}

TEST(PlotPage, SurvivesAnythingThatIsJson) {
  EXPECT_THAT(plot_page("empty", {}), HasSubstr("</html>"));
  const std::vector<Json> odd = {
      Json(7),
      Json::array(),
      Json::object(),
      {{"step", "x"}},
      {{"step", 1}, {"loss", "high"}},
      {{"step", 1}, {"loss", nullptr}, {"experts", {1, 2}}, {"max_violation", 3}, {"speed", 1}},
      {{"step", 2}, {"validation", {{"all", 3}}}},
      {{"step", 2}, {"validation", {{"all", Json::object()}}}},
      {{"step", 3}, {"experts", {{1, 2}, {1}}}}};
  EXPECT_THAT(plot_page("odd", odd), HasSubstr("</html>"));
  EXPECT_THAT(plot_page("one", {{{"step", 1}, {"loss", 2.0}}}), Not(HasSubstr("'nan")));
}

TEST(PlotPage, CannotBeLeftThroughAName) {
  const std::string page =
      plot_page("x", {{{"step", 1}, {"validation", {{"</script><b>", {{"loss", 1.0}}}}}}});
  EXPECT_THAT(page, Not(HasSubstr("</script><b>")));
}

TEST(ReadMetrics, SkipsALineThatWasNotFinishedAndNamesABrokenOne) {
  const test::TempDir dir;
  const auto path = dir.path() / "metrics.jsonl";
  std::ofstream(path) << "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3, \"lo";
  EXPECT_EQ(read_metrics(path).size(), 2u);
  std::ofstream(path) << "{\"step\": 1}\nbroken\n";
  try {
    read_metrics(path);
    FAIL();
  } catch (const CorruptFile& error) {
    EXPECT_THAT(error.what(), HasSubstr("metrics.jsonl:2"));
  }
  EXPECT_THROW(read_metrics(dir.path() / "none"), IoError);
}

TEST(AxisTicks, AreRoundNumbersInside) {
  EXPECT_THAT(axis_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(axis_ticks(1.2, 3.9, 3), ElementsAre(2, 3));
  EXPECT_THAT(axis_ticks(5, 5, 3), ElementsAre(5));
}

TEST(Thinned, AveragesNeighbours) {
  EXPECT_THAT(thinned({{1, 2}, {2, 4}, {3, 6}, {4, 8}}, 2),
              ElementsAre(std::pair{2.0, 3.0}, std::pair{4.0, 7.0}));
  EXPECT_EQ(thinned({{1, 2}}, 2).size(), 1u);
}

}  // namespace
}  // namespace corral::train
