#include "ops/silu_mul/silu_mul.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

std::vector<double> reference(const test::Values& in) {
  std::vector<double> y = in[1];
  for (size_t i = 0; i < y.size(); ++i) y[i] *= in[0][i] / (1 + std::exp(-in[0][i]));
  return y;
}

class SiluMul : public ::testing::TestWithParam<Shape> {};

TEST_P(SiluMul, MatchesReferenceAndFiniteDifferences) {
  const test::OpCase c{.name = "silu_mul",
                       .inputs = {randn(GetParam(), 1), randn(GetParam(), 2)},
                       .op = [](auto& in) { return silu_mul(in[0], in[1]); },
                       .reference = reference};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, SiluMul,
                         ::testing::Values(Shape{0, 3}, Shape{1}, Shape{3, 17}, Shape{64, 5}));

TEST(SiluMul, HasTheSameBitsForAnyNumberOfThreads) {
  for (const simd::Isa isa : test::machine_isas()) {
    Tensor first;
    for (const int threads : {1, 2, 3}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor y = silu_mul(randn({40'001}, 1, device), randn({40'001}, 2, device));
      if (!first.defined()) first = y;
      EXPECT_TRUE(test::same_bits(first, y)) << simd::isa_name(isa) << ", " << threads;
    }
  }
}

// With gate x and up 1/x the op shows the sigmoid of simd/vec.h: every vector exponential hangs on
// it.
TEST(SiluMul, SigmoidIsAccurateToAFewUnitsInTheLastPlaceOverItsWholeRange) {
  constexpr int64_t kPoints = 200'001;
  std::vector<float> x;
  for (int64_t i = 0; i < kPoints; ++i) {
    x.push_back(static_cast<float>(-87.0 + 174.0 * static_cast<double>(i) / (kPoints - 1)));
  }
  const std::vector<float> ones(x.size(), 1.0f);
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const Tensor y =
        silu_mul(Tensor::from(x, {kPoints}, device), Tensor::from(ones, {kPoints}, device));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double at = static_cast<double>(x[i]);
      const double wanted = at / (1 + std::exp(-at));
      if (wanted == 0) continue;
      worst = std::max(worst, std::abs(static_cast<double>(y.values<float>()[i]) / wanted - 1));
    }
    // exp 2, the sum, the quotient and the product half a unit each (2^-23 and 2^-24).
    EXPECT_LT(worst, 4 * 0x1p-23) << simd::isa_name(isa);
  }
}

TEST(SiluMul, ExtremeGatesNeitherOverflowNorLoseNan) {
  const std::vector<float> gates = {-INFINITY, -1e30f, -200.0f, -88.0f, 88.5f,
                                    200.0f,    1e30f,  NAN,     0.0f,   -0.0f};
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    const auto n = static_cast<int64_t>(gates.size());
    const Tensor y = silu_mul(Tensor::from(gates, {n}, device),
                              Tensor::from(std::vector<float>(gates.size(), 2.0f), {n}, device));
    const auto values = y.values<float>();
    EXPECT_TRUE(std::isnan(values[0]));  // -inf * 0
    EXPECT_EQ(values[1], 0.0f);
    EXPECT_EQ(values[2], 0.0f);
    EXPECT_NEAR(values[3], 0.0f, 1e-30f);
    EXPECT_EQ(values[4], 177.0f);
    EXPECT_EQ(values[5], 400.0f);
    EXPECT_EQ(values[6], 2e30f);
    EXPECT_TRUE(std::isnan(values[7]));
    EXPECT_EQ(values[8], 0.0f);
    EXPECT_EQ(values[9], 0.0f);
  }
}

TEST(SiluMulErrors, NameWhatDiffers) {
  try {
    silu_mul(randn({2, 3}, 1), randn({2, 4}, 2));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "silu_mul: gate is [2, 3], up is [2, 4]");
  }
  EXPECT_THROW(silu_mul(randn({2}, 1), test::to_dtype(randn({2}, 2), DType::kF16)), NotSupported);
}

}  // namespace
}  // namespace corral::ops
