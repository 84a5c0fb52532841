#include "train/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "support/temp_dir.h"
#include "tensor/device.h"
#include "train/metrics_log.h"

namespace corral::train {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

StepReport a_report() {
  StepReport report;
  report.step = 12;
  report.rows = 24'000;
  report.loss = 3.25;
  report.learning_rate = 1e-3;
  report.gradient_norm = 0.5;
  report.loads = {{0.5, 0.9, 1}, {0.25, 0.95, 2}};
  report.seconds = 0.5;
  report.step_rows = 2000;
  return report;
}

TEST(RunReport, WritesMetricsWithTheClockApart) {
  const RunReport report(1e6, 1e10);
  const auto json = report.metrics(a_report());
  EXPECT_EQ(json["step"], 12);
  EXPECT_EQ(json["loss"], 3.25);
  EXPECT_EQ(json["max_violation"], (nlohmann::ordered_json{0.5, 0.25}));
  EXPECT_EQ(json["dead_experts"], 3);
  EXPECT_EQ(json["speed"]["tokens_per_second"], 4000);
  EXPECT_DOUBLE_EQ(json["speed"]["utilisation"].get<double>(), 0.4);
  EXPECT_FALSE(json.contains("experts"));
  EXPECT_FALSE(json.contains("z_loss"));
  const auto validation = report.metrics(12, {{"all", 2.5, 1.25, 100}}, 1.0);
  EXPECT_EQ(validation["validation"]["all"]["bits_per_byte"], 1.25);
}

TEST(RunReport, ShowsALineThatSaysHowLongItTakes) {
  std::ostringstream out;
  RunReport report(1e6, 1e10);
  report.show(a_report(), 1212, {&out, false}, false);
  EXPECT_EQ(out.str(), "step 12/1212  loss 3.2500  4.0k tokens/s  40 % of peak  10m 00s left\n");
  report.show(a_report(), 1212, {&out, false}, false);  // within ten seconds: silent
  EXPECT_THAT(out.str(), Not(HasSubstr("\nstep")));
  report.show(a_report(), 1212, {&out, false}, true);
  EXPECT_THAT(out.str(), HasSubstr("\nstep"));
}

TEST(RunReport, RedrawsOneLineOnATerminalAndEndsIt) {
  std::ostringstream out;
  RunReport report(1e6, 1e10);
  report.show(a_report(), 20, {&out, true}, false);
  EXPECT_THAT(out.str(), ::testing::StartsWith("\rstep 12/20"));
  EXPECT_THAT(out.str(), Not(HasSubstr("\n")));
  report.end_line({&out, true});
  EXPECT_THAT(out.str(), ::testing::EndsWith("\n"));
}

TEST(MetricsLog, DropsWhatIsBehindTheCheckpoint) {
  const test::TempDir dir;
  const auto path = dir.path() / "metrics.jsonl";
  int64_t kept = 0;
  {
    MetricsLog log(path, 0);
    log.append({{"step", 1}});
    kept = log.size_bytes();
    log.append({{"step", 2}});
  }
  MetricsLog log(path, kept);
  log.append({{"step", 3}});
  log.sync();
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), "{\"step\":1}\n{\"step\":3}\n");
  EXPECT_EQ(MetricsLog(path, 1'000'000).size_bytes(), static_cast<int64_t>(text.str().size()));
  EXPECT_THROW(MetricsLog(dir.path() / "no/metrics.jsonl", 0), IoError);
}

}  // namespace
}  // namespace corral::train
