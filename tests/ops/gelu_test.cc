#include "ops/gelu/gelu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

double exact(double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; }

class Gelu : public ::testing::TestWithParam<Shape> {};

TEST_P(Gelu, MatchesReferenceAndFiniteDifferences) {
  const test::OpCase c{.name = "gelu",
                       .inputs = {randn(GetParam(), 1)},
                       .op = [](auto& in) { return gelu(in[0]); },
                       .reference =
                           [](const test::Values& in) {
                             std::vector<double> y;
                             for (const double x : in[0]) y.push_back(exact(x));
                             return y;
                           }};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, Gelu,
                         ::testing::Values(Shape{0, 3}, Shape{1}, Shape{3, 17}, Shape{64, 5}));

// The tanh form that other towers use is off by up to 5e-4: this bound tells them apart. The
// distribution's own relative error grows with the square that is in the exponent.
TEST(Gelu, IsTheExactOneOverItsWholeRange) {
  constexpr int64_t kPoints = 200'001;
  std::vector<float> x;
  for (int64_t i = 0; i < kPoints; ++i) {
    x.push_back(static_cast<float>(-14.0 + 28.0 * static_cast<double>(i) / (kPoints - 1)));
  }
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 2);
    const Tensor y = gelu(Tensor::from(x, {kPoints}, device));
    double worst = 0;
    double worst_tail = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<double>(x[i]);
      const double error = std::abs(static_cast<double>(y.values<float>()[i]) - exact(at));
      worst = std::max(worst, error / std::max(1.0, std::abs(at)));
      if (at < 0 && at > -10) worst_tail = std::max(worst_tail, error / std::abs(exact(at)));
    }
    EXPECT_LE(worst, 2e-7) << simd::isa_name(isa);
    EXPECT_LE(worst_tail, 1e-5) << simd::isa_name(isa);
  }
}

TEST(GeluErrors, NameTheType) {
  EXPECT_THROW(gelu(test::to_dtype(randn({2, 2}, 1), DType::kF16)), NotSupported);
}

}  // namespace
}  // namespace corral::ops
