#include "train/expert_balance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/presets.h"

namespace corral::train {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;

std::vector<model::LayerSpec> layers() {
  model::LayerSpec dense{};
  model::LayerSpec moe{};
  moe.moe = true;
  moe.experts = 4;
  moe.experts_per_token = 1;
  return {dense, moe, moe};
}

ops::Routing to(const std::vector<int32_t>& experts) {
  const auto tokens = static_cast<int64_t>(experts.size());
  return ops::make_routing(ops::RowNumbers(experts), tokens, 4, 1);
}

TEST(ExpertBalance, GivesTheLoadOfTheGlobalBatchSoFar_FactsRow31) {
  ExpertBalance balance(layers(), 0.25);
  balance.begin_step(8);
  EXPECT_EQ(balance.coefficient(), 0.25);
  EXPECT_EQ(balance.global_tokens(), 8);
  EXPECT_THAT(balance.load_fractions(1, to({0, 0, 1, 3}), false), ElementsAre(0.5, 0.25, 0, 0.25));
  EXPECT_THAT(balance.load_fractions(1, to({2, 2, 2, 2}), false),
              ElementsAre(0.25, 0.125, 0.5, 0.125));
  EXPECT_THAT(balance.load_fractions(2, to({1, 1}), false), ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(balance.counts(), ElementsAre(ElementsAre(2, 1, 4, 1), ElementsAre(0, 2, 0, 0)));
  balance.begin_step(8);
  EXPECT_THAT(balance.counts(), ElementsAre(ElementsAre(0, 0, 0, 0), ElementsAre(0, 0, 0, 0)));
}

TEST(ExpertBalance, DoesNotCountALayerThatIsRecomputed_FactsRow31) {
  ExpertBalance balance(layers(), 1);
  balance.begin_step(4);
  const std::vector<double> first = [&] {
    const auto f = balance.load_fractions(1, to({0, 0, 1, 3}), false);
    return std::vector<double>(f.begin(), f.end());
  }();
  EXPECT_THAT(balance.load_fractions(1, to({0, 0, 1, 3}), true),
              ::testing::ElementsAreArray(first));
  EXPECT_THAT(balance.counts()[0], ElementsAre(2, 1, 0, 1));
}

TEST(ExpertBalance, ReportsViolationEntropyAndDeadExperts) {
  ExpertBalance balance(layers(), 1);
  for (int64_t step = 0; step < ExpertBalance::kDeadSteps; ++step) {
    balance.begin_step(4);
    balance.load_fractions(1, to({0, 1, 2, 3}), false);
    balance.load_fractions(2, to({0, 0, 0, 1}), false);
    EXPECT_EQ(balance.reports()[1].dead, 0);
    balance.end_step();
  }
  const auto reports = balance.reports();
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_DOUBLE_EQ(reports[0].max_violation, 0);
  EXPECT_DOUBLE_EQ(reports[0].entropy, 1);
  EXPECT_EQ(reports[0].dead, 0);
  EXPECT_DOUBLE_EQ(reports[1].max_violation, 2);
  EXPECT_NEAR(reports[1].entropy, 0.811278 / 2, 1e-6);
  EXPECT_EQ(reports[1].dead, 2);
}

TEST(ExpertBalance, RemembersIdleExpertsOverACheckpoint_FactsRow31) {
  ExpertBalance before(layers(), 1);
  before.begin_step(2);
  before.load_fractions(1, to({0, 0}), false);
  before.load_fractions(2, to({1, 2}), false);
  before.end_step();
  ExpertBalance after(layers(), 1);
  after.restore_idle_steps(before.idle_steps());
  EXPECT_THAT(after.idle_steps(), ElementsAre(ElementsAre(0, 1, 1, 1), ElementsAre(1, 0, 0, 1)));
  EXPECT_THROW(after.restore_idle_steps({{1, 2}}), CorruptFile);
  EXPECT_THROW(after.restore_idle_steps({{0, 0, 0, 0}}), CorruptFile);
}

}  // namespace
}  // namespace corral::train
