#include "train/expert_balance.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/presets.h"

namespace corral::train {
namespace {

// Maverick's pattern: layer 0 is dense, layer 1 has experts.
std::vector<model::LayerSpec> two_layers() {
  model::Config config = model::find_preset("maverick-mini").config;
  config.num_hidden_layers = 2;
  config.num_local_experts = 4;
  config.moe_layers.clear();
  config.no_rope_layers.clear();
  config.normalise();
  return model::layer_specs(config);
}

ops::Routing routing(std::vector<int32_t> experts) {
  const auto tokens = static_cast<int64_t>(experts.size());
  return ops::make_routing(std::move(experts), tokens, 4, 1);
}

std::vector<double> copy(std::span<const double> values) { return {values.begin(), values.end()}; }

TEST(ExpertBalance, SumsTheMicroBatchesOfAStepAndStartsAfreshWithTheNext_FactsRow31) {
  ExpertBalance balance(two_layers(), 1e-2);
  balance.begin_step(8);
  EXPECT_EQ(copy(balance.load_fractions(1, routing({0, 0, 0, 1}), false)),
            (std::vector<double>{0.75, 0.25, 0, 0}));
  EXPECT_EQ(copy(balance.load_fractions(1, routing({2, 2, 1, 0}), false)),
            (std::vector<double>{0.5, 0.25, 0.25, 0}));
  EXPECT_EQ(balance.global_tokens(), 8);
  balance.end_step();
  EXPECT_EQ(balance.counts(), (std::vector<std::vector<int64_t>>{{4, 2, 2, 0}}));
  balance.begin_step(2);
  EXPECT_EQ(copy(balance.load_fractions(1, routing({3, 3}), false)),
            (std::vector<double>{0, 0, 0, 1}));
}

TEST(ExpertBalance, CountsARecomputedLayerOnce_FactsRow31) {
  ExpertBalance balance(two_layers(), 1e-2);
  balance.begin_step(4);
  const auto first = copy(balance.load_fractions(1, routing({0, 1, 1, 3}), false));
  EXPECT_EQ(copy(balance.load_fractions(1, routing({0, 1, 1, 3}), true)), first);
  balance.end_step();
  EXPECT_EQ(balance.counts(), (std::vector<std::vector<int64_t>>{{1, 2, 0, 1}}));
}

TEST(ExpertBalance, ReportsViolationAndEntropy) {
  ExpertBalance balance(two_layers(), 1e-2);
  balance.begin_step(8);
  balance.load_fractions(1, routing({0, 1, 2, 3, 0, 1, 2, 3}), false);
  balance.end_step();
  ASSERT_EQ(balance.reports().size(), 1u);  // the dense layer has none
  EXPECT_DOUBLE_EQ(balance.reports()[0].max_violation, 0);
  EXPECT_NEAR(balance.reports()[0].entropy, 1, 1e-12);
  balance.begin_step(4);
  balance.load_fractions(1, routing({2, 2, 2, 2}), false);
  balance.end_step();
  EXPECT_DOUBLE_EQ(balance.reports()[0].max_violation, 3);
  EXPECT_NEAR(balance.reports()[0].entropy, 0, 1e-12);
}

TEST(ExpertBalance, CallsAnExpertDeadThatWasIdleForManySteps_FactsRow31) {
  ExpertBalance balance(two_layers(), 1e-2);
  ExpertBalance resumed(two_layers(), 1e-2);
  for (int64_t step = 0; step < ExpertBalance::kDeadSteps; ++step) {
    EXPECT_EQ(step == 0 ? 0 : balance.reports()[0].dead, 0);
    balance.begin_step(3);
    balance.load_fractions(1, routing({0, 1, 2}), false);
    balance.end_step();
  }
  EXPECT_EQ(balance.reports()[0].dead, 1);
  // The idle steps are in the checkpoint: a resumed run knows them.
  resumed.restore_idle_steps(balance.idle_steps());
  EXPECT_EQ(resumed.reports()[0].dead, 1);
  EXPECT_THROW(resumed.restore_idle_steps({{1, 2, 3}}), CorruptFile);
}

}  // namespace
}  // namespace corral::train
