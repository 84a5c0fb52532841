#include "ops/attention_temperature/attention_temperature.h"

#include <gmock/gmock.h>

#include <cmath>

#include "support/op_case.h"

namespace corral::ops {
namespace {

class AttentionTemperature : public ::testing::TestWithParam<int64_t> {};

TEST_P(AttentionTemperature, MatchesTheFormulaAndFiniteDifferences_FactsRow13) {
  const int64_t T = GetParam();
  std::vector<int64_t> positions;
  for (int64_t t = 0; t < T; ++t) positions.push_back(3 * t + 6);
  const test::OpCase c = {.name = "attention_temperature",
                          .inputs = {test::randn({T, 3, 5}, 1)},
                          .op =
                              [=](const std::vector<Tensor>& in) {
                                return attention_temperature(in[0], positions, 0.1f, 8);
                              },
                          .reference =
                              [=](const test::Values& in) {
                                std::vector<double> y = in[0];
                                for (size_t i = 0; i < y.size(); ++i) {
                                  const auto p = static_cast<double>(positions[i / 15]);
                                  y[i] *= 1 + static_cast<double>(0.1f) *
                                                  std::log(1 + std::floor((p + 1) / 8));
                                }
                                return y;
                              }};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Rows, AttentionTemperature, ::testing::Values(2, 7, 33));

TEST(AttentionTemperature, IsOneBelowFloorScaleMinusOne_FactsRow13) {
  EXPECT_EQ(attention_temperature_factor(0, 0.1f, 8192), 1.0f);
  EXPECT_EQ(attention_temperature_factor(8190, 0.1f, 8192), 1.0f);
  EXPECT_FLOAT_EQ(attention_temperature_factor(8191, 0.1f, 8192), 1 + 0.1f * std::log(2.0f));
  EXPECT_FLOAT_EQ(attention_temperature_factor(8192, 0.1f, 8192), 1 + 0.1f * std::log(2.0f));
  EXPECT_FLOAT_EQ(attention_temperature_factor(9999999, 0.1f, 8192), 1 + 0.1f * std::log(1221.0f));
}

TEST(AttentionTemperature, UsesThePositionNotTheRow_FactsRow13) {
  // A decode step, and a batch whose rows are out of order.
  const Tensor q = test::randn({2, 1, 4}, 1);
  const std::vector<int64_t> positions = {20, 3};
  const Tensor y = attention_temperature(q, positions, 0.1f, 8);
  const std::vector<int64_t> alone = {20};
  EXPECT_TRUE(test::same_bits(y.rows(0, 1), attention_temperature(q.rows(0, 1), alone, 0.1f, 8)));
  EXPECT_TRUE(test::same_bits(y.rows(1, 2), q.rows(1, 2)));
}

TEST(AttentionTemperature, CopiesNothingWhereAllFactorsAreOne) {
  const Tensor q = autograd::parameter(test::randn({3, 1, 4}, 1));
  const std::vector<int64_t> positions = {0, 1, 2};
  const Tensor y = attention_temperature(q, positions, 0.1f, 8);
  EXPECT_EQ(y.data<float>(), q.data<float>());
  EXPECT_EQ(y.node(), q.node());
}

TEST(AttentionTemperatureErrors, SayWhatTheyGot) {
  const Tensor q = test::randn({2, 1, 4}, 1);
  const std::vector<int64_t> three = {0, 1, 2};
  const std::vector<int64_t> negative = {0, -2};
  const std::vector<int64_t> two = {0, 1};
  EXPECT_THAT([&] { attention_temperature(q, three, 0.1f, 8); },
              ::testing::ThrowsMessage<ShapeError>(::testing::HasSubstr("got 3 positions")));
  EXPECT_THROW(attention_temperature(q, negative, 0.1f, 8), UsageError);
  EXPECT_THROW(attention_temperature(q, two, 0.1f, 0), UsageError);
  EXPECT_THROW(attention_temperature(q, two, NAN, 8), UsageError);
  EXPECT_THROW(attention_temperature(test::to_dtype(q, DType::kBF16), two, 0.1f, 8), NotSupported);
}

}  // namespace
}  // namespace corral::ops
