#include "ops/rms_norm/rms_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

constexpr float kEps = 1e-5f;

std::vector<double> reference(const test::Values& in, int64_t D, double eps) {
  std::vector<double> y = in[0];
  for (size_t row = 0; row < y.size(); row += static_cast<size_t>(D)) {
    double sum = 0;
    for (int64_t d = 0; d < D; ++d) sum += std::pow(in[0][row + static_cast<size_t>(d)], 2);
    const double r = 1 / std::sqrt(sum / static_cast<double>(D) + eps);
    for (int64_t d = 0; d < D; ++d) {
      const auto at = static_cast<size_t>(d);
      y[row + at] *= r * (in.size() > 1 ? in[1][at] : 1.0);
    }
  }
  return y;
}

class RmsNorm : public ::testing::TestWithParam<Shape> {};

TEST_P(RmsNorm, MatchesReferenceAndFiniteDifferences) {
  const int64_t D = GetParam()[-1];
  const test::OpCase c{.name = "rms_norm",
                       .inputs = {randn(GetParam(), 1), randn({D}, 2)},
                       .op = [](auto& in) { return rms_norm(in[0], &in[1], kEps); },
                       .reference = [D](auto& in) { return reference(in, D, kEps); },
                       .terms = D};
  check_forward(c);
  check_grad(c);
}

TEST_P(RmsNorm, WithoutWeightMatchesReferenceAndFiniteDifferences) {
  const int64_t D = GetParam()[-1];
  const test::OpCase c{.name = "rms_norm without weight",
                       .inputs = {randn(GetParam(), 1)},
                       .op = [](auto& in) { return rms_norm(in[0], nullptr, kEps); },
                       .reference = [D](auto& in) { return reference(in, D, kEps); },
                       .terms = D};
  check_forward(c);
  // At D = 1 the derivative is eps / x^2 of the value: what is left of two equal terms.
  if (D > 1) check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, RmsNorm,
                         ::testing::Values(Shape{1, 2}, Shape{3, 8}, Shape{2, 3, 17}, Shape{0, 4},
                                           Shape{2, 160}, Shape{5, 67}));

TEST(RmsNorm, WeightGradientHasTheSameBitsForAnyNumberOfThreads) {
  for (const simd::Isa isa : test::machine_isas()) {
    Tensor first;
    for (const int threads : {1, 2, 3, 5}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor w = autograd::parameter(randn({48}, 1, device));
      autograd::backward(rms_norm(randn({1000, 48}, 2, device), &w, kEps),
                         randn({1000, 48}, 3, device));
      const Tensor dw = autograd::gradient(w);
      if (!first.defined()) first = dw;
      EXPECT_TRUE(test::same_bits(first, dw)) << simd::isa_name(isa) << ", " << threads;
    }
  }
}

TEST(RmsNorm, ARowDoesNotDependOnTheOthers) {
  const DevicePtr device = test::test_device();
  const Tensor x = randn({9, 33}, 1, device);
  const Tensor w = randn({33}, 2, device);
  const Tensor all = rms_norm(x, &w, kEps);
  for (int64_t n = 0; n < 9; ++n) {
    EXPECT_TRUE(test::same_bits(all.rows(n, n + 1), rms_norm(x.rows(n, n + 1), &w, kEps)));
  }
}

// "L2 norm" in Llama 4's papers and code is RMS norm without a weight: [3, 4] has the norm 5, but
// the root mean square sqrt(12.5). Taken literally, q and k would be smaller by sqrt(head size).
TEST(RmsNorm, IsTheMeanAndNotTheLengthOfTheVector_FactsRow3) {
  const std::vector<float> x = {3, 4};
  const Tensor y = rms_norm(Tensor::from(x, {1, 2}, test::test_device()), nullptr, 0.0f);
  EXPECT_FLOAT_EQ(y.values<float>()[0], 3 / std::sqrt(12.5f));
  EXPECT_FLOAT_EQ(y.values<float>()[1], 4 / std::sqrt(12.5f));
}

// Where values are small, eps decides: with 1e-6 this result would be 3.0 times larger.
TEST(RmsNorm, EpsStandsInsideTheRoot_FactsRow2) {
  const std::vector<float> x(4, 1e-4f);
  const Tensor y = rms_norm(Tensor::from(x, {1, 4}, test::test_device()), nullptr, 1e-5f);
  EXPECT_FLOAT_EQ(y.values<float>()[0], 1e-4f / std::sqrt(1e-8f + 1e-5f));
}

TEST(RmsNorm, ZeroRowsStayZero) {
  const Tensor y = rms_norm(Tensor::zeros({2, 8}, DType::kF32, test::test_device()), nullptr, kEps);
  for (const float v : y.values<float>()) EXPECT_EQ(v, 0.0f);
}

TEST(RmsNormErrors, NameTheShapeTheyGot) {
  const Tensor w = randn({7}, 2);
  try {
    rms_norm(randn({2, 8}, 1), &w, kEps);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "rms_norm: w is [7], x needs [8]");
  }
  EXPECT_THROW(rms_norm(randn({}, 1), nullptr, kEps), ShapeError);
  EXPECT_THROW(rms_norm(test::to_dtype(randn({2, 2}, 1), DType::kF16), nullptr, kEps),
               NotSupported);
  const Tensor half = test::to_dtype(randn({8}, 2), DType::kBF16);
  EXPECT_THROW(rms_norm(randn({2, 8}, 1), &half, kEps), NotSupported);
}

}  // namespace
}  // namespace corral::ops
