#include "train/schedule.h"

#include <gtest/gtest.h>

namespace corral::train {
namespace {

TEST(Schedule, WarmsUpLinearlyFromTheFirstStep) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kWsd}) {
    const ScheduleOptions options{.kind = kind, .warmup_steps = 10};
    EXPECT_DOUBLE_EQ(learning_rate(options, 2.0, 0, 100), 0.2);
    EXPECT_DOUBLE_EQ(learning_rate(options, 2.0, 4, 100), 1.0);
    EXPECT_DOUBLE_EQ(learning_rate(options, 2.0, 9, 100), 2.0);
    EXPECT_DOUBLE_EQ(learning_rate(options, 2.0, 10, 100), 2.0);
  }
}

TEST(Schedule, HoldsThePeakUntilTheDecayOfWsdBegins) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kWsd, .warmup_steps = 5, .decay_fraction = 0.25};
  for (int64_t step = 5; step < 75; ++step) {
    EXPECT_DOUBLE_EQ(learning_rate(options, 1.0, step, 100), 1.0) << step;
  }
  EXPECT_DOUBLE_EQ(learning_rate(options, 1.0, 75, 100), 25.0 / 26);
  EXPECT_DOUBLE_EQ(learning_rate(options, 1.0, 99, 100), 1.0 / 26);
}

TEST(Schedule, DecaysByOneMinusTheSquareRoot) {
  const ScheduleOptions options{.kind = ScheduleKind::kWsd,
                                .warmup_steps = 0,
                                .decay_fraction = 0.15,
                                .decay = DecayShape::kOneMinusSqrt,
                                .final_fraction = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(options, 1.0, 84, 100), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 1.0, 88, 100), 0.1 + 0.9 * (1 - 0.5));  // x = 4 / 16
}

TEST(Schedule, CosineEndsAtItsFinalFraction) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kCosine, .warmup_steps = 10, .final_fraction = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(options, 1.0, 55, 100), 0.55);
  EXPECT_NEAR(learning_rate(options, 1.0, 99, 100), 0.1, 1e-3);
}

TEST(Schedule, NeverReachesZeroBeforeTheEnd) {
  for (const auto kind : {ScheduleKind::kCosine, ScheduleKind::kWsd}) {
    for (const auto decay : {DecayShape::kLinear, DecayShape::kOneMinusSqrt}) {
      const ScheduleOptions options{.kind = kind, .warmup_steps = 3, .decay = decay};
      double last = 1;
      for (int64_t step = 3; step < 50; ++step) {
        const double rate = learning_rate(options, 1.0, step, 50);
        EXPECT_GT(rate, 0);
        EXPECT_LE(rate, last);
        last = rate;
      }
    }
  }
}

TEST(Schedule, SurvivesRunsShorterThanTheirWarmup) {
  const ScheduleOptions options{.kind = ScheduleKind::kWsd, .warmup_steps = 100};
  EXPECT_DOUBLE_EQ(learning_rate(options, 1.0, 1, 2), 0.02);
  const ScheduleOptions all_decay{
      .kind = ScheduleKind::kWsd, .warmup_steps = 2, .decay_fraction = 1.0};
  EXPECT_GT(learning_rate(all_decay, 1.0, 2, 3), 0);
}

}  // namespace
}  // namespace corral::train
