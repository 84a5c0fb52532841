#include "engine/step_budget.h"

#include <gtest/gtest.h>

namespace corral::engine {
namespace {

TEST(StepBudget, FillsTheTimeThatDecodingLeaves) {
  StepBudget budget(1024, 0.2);
  budget.record(8, 0, 0.05);
  budget.record(8, 100, 0.15);  // a millisecond for each token of a prompt
  EXPECT_NEAR(static_cast<double>(budget.prompt_tokens()), 150, 1);
}

TEST(StepBudget, AlwaysLetsPromptsGoOn) {
  StepBudget budget(1024, 0.01);
  budget.record(8, 0, 0.05);
  budget.record(8, 100, 5);
  EXPECT_EQ(budget.prompt_tokens(), StepBudget::kLeastTokens);
}

TEST(StepBudget, StaysWithinTheStep) {
  StepBudget budget(64, 10);
  EXPECT_LE(budget.prompt_tokens(), 64);
  budget.record(1, 64, 0.0);
  budget.record(1, 64, 0.001);
  EXPECT_EQ(budget.prompt_tokens(), 64);
  EXPECT_EQ(StepBudget(4, 1).prompt_tokens(), 4);
}

TEST(StepBudget, AdaptsToSlowerSteps) {
  StepBudget budget(4096, 0.2);
  budget.record(0, 100, 0.01);
  const int64_t before = budget.prompt_tokens();
  for (int i = 0; i < 20; ++i) budget.record(0, 100, 0.1);
  EXPECT_LT(budget.prompt_tokens(), before / 5);
}

}  // namespace
}  // namespace corral::engine
