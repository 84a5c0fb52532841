#include "ops/layer_norm/layer_norm.h"

#include <gmock/gmock.h>

#include <cmath>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

constexpr float kEps = 1e-5f;

std::vector<double> reference(const test::Values& in) {
  std::vector<double> y = in[0];
  const size_t D = in[1].size();
  for (size_t row = 0; row < y.size(); row += D) {
    double mean = 0;
    for (size_t d = 0; d < D; ++d) mean += in[0][row + d] / static_cast<double>(D);
    double variance = 0;
    for (size_t d = 0; d < D; ++d) {
      variance += std::pow(in[0][row + d] - mean, 2) / static_cast<double>(D);
    }
    for (size_t d = 0; d < D; ++d) {
      y[row + d] =
          (in[0][row + d] - mean) / std::sqrt(variance + static_cast<double>(kEps)) * in[1][d] +
          in[2][d];
    }
  }
  return y;
}

class LayerNorm : public ::testing::TestWithParam<Shape> {};

TEST_P(LayerNorm, MatchesReferenceAndFiniteDifferences) {
  const int64_t D = GetParam()[-1];
  const test::OpCase c{.name = "layer_norm",
                       .inputs = {randn(GetParam(), 1), randn({D}, 2), randn({D}, 3)},
                       .op = [](auto& in) { return layer_norm(in[0], in[1], in[2], kEps); },
                       .reference = reference,
                       .terms = D};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, LayerNorm,
                         ::testing::Values(Shape{1, 3}, Shape{3, 8}, Shape{2, 3, 17}, Shape{0, 4},
                                           Shape{2, 160}, Shape{5, 67}));

TEST(LayerNorm, WeightGradientsHaveTheSameBitsForAnyNumberOfThreads) {
  for (const simd::Isa isa : test::machine_isas()) {
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 5}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor w = autograd::parameter(randn({48}, 1, device));
      const Tensor b = autograd::parameter(randn({48}, 2, device));
      autograd::backward(layer_norm(randn({1000, 48}, 3, device), w, b, kEps),
                         randn({1000, 48}, 4, device));
      const std::vector<Tensor> got = {autograd::gradient(w), autograd::gradient(b)};
      if (first.empty()) first = got;
      EXPECT_TRUE(test::same_bits(first[0], got[0])) << simd::isa_name(isa) << ", " << threads;
      EXPECT_TRUE(test::same_bits(first[1], got[1])) << simd::isa_name(isa) << ", " << threads;
    }
  }
}

// The mean of squares minus the square of the mean would lose the variance here altogether.
TEST(LayerNorm, ALargeMeanCostsNoPrecision) {
  const DevicePtr device = test::test_device();
  const std::vector<float> x = {8192, 8193, 8194, 8195};
  const std::vector<float> ones(4, 1.0f);
  const Tensor y = layer_norm(Tensor::from(x, {1, 4}, device), Tensor::from(ones, {4}, device),
                              Tensor::zeros({4}, DType::kF32, device), 0.0f);
  EXPECT_FLOAT_EQ(y.values<float>()[0], -1.5f / std::sqrt(1.25f));
  EXPECT_FLOAT_EQ(y.values<float>()[3], 1.5f / std::sqrt(1.25f));
}

TEST(LayerNormErrors, NameTheShapesTheyGot) {
  const Tensor w = randn({8}, 2);
  const Tensor b = randn({7}, 3);
  EXPECT_THAT(
      [&] {
        layer_norm(randn({2, 8}, 1), w, b, kEps);
      },
      ::testing::ThrowsMessage<ShapeError>(
          ::testing::StrEq("layer_norm: w is [8], b is [7], x needs [8]")));
  EXPECT_THROW(layer_norm(randn({}, 1), w, w, kEps), ShapeError);
  const Tensor half = test::to_dtype(w, DType::kBF16);
  EXPECT_THROW(layer_norm(randn({2, 8}, 1), half, w, kEps), NotSupported);
}

}  // namespace
}  // namespace corral::ops
