#include "ops/linear/linear.h"

#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "support/blocks.h"
#include "support/op_case.h"

namespace corral {
namespace {

using quant::LinearWeight;
using quant::Precision;
using test::OpCase;
using test::randn;
using test::Values;

// y[t, n] = sum_k x[t, k] w[n * stride_out + k * stride_in + offset], in double.
std::vector<double> reference(const Values& in, int64_t T, const LinearWeight& w) {
  std::vector<double> y;
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < w.out_features; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < w.in_features; ++k) {
        sum += in[0][t * w.in_features + k] * in[1][w.offset + n * w.stride_out + k * w.stride_in];
      }
      y.push_back(sum);
    }
  }
  return y;
}

LinearWeight with_data(LinearWeight w, const Tensor& data) {
  w.data = data;
  return w;
}

OpCase linear_case(const Shape& x_shape, const LinearWeight& w, Precision precision) {
  const int64_t T = x_shape.numel() / w.in_features;
  return {.name = "linear",
          .inputs = {randn(x_shape, 1), w.data},
          .op = [=](auto& in) { return ops::linear(in[0], with_data(w, in[1]), precision); },
          .reference = [=](auto& in) { return reference(in, T, w); },
          .terms = w.in_features,
          .dtype = precision == Precision::kBF16 ? DType::kBF16 : DType::kF32};
}

Tensor weight_of(const Shape& shape, DType dtype, uint64_t seed) {
  return is_block(dtype) ? test::random_blocks(shape, dtype, seed)
                         : test::to_dtype(randn(shape, seed), dtype);
}

struct Size {
  int64_t T, K, N;
};

class Linear : public ::testing::TestWithParam<std::tuple<Size, Precision, DType>> {};

TEST_P(Linear, MatchesReferenceAndFiniteDifferencesInBothLayouts) {
  const auto& [size, precision, dtype] = GetParam();
  const Tensor out_in = test::to_dtype(randn({size.N, size.K}, 2), dtype);
  const OpCase rows = linear_case({size.T, size.K}, LinearWeight::out_in(out_in), precision);
  check_forward(rows);
  check_grad(rows);

  const Tensor in_out = test::to_dtype(randn({size.K, size.N + 5}, 3), dtype);
  const LinearWeight columns = LinearWeight::in_out(in_out, 3, size.N);
  const OpCase strided = linear_case({size.T, size.K}, columns, precision);
  check_forward(strided);
  check_grad(strided);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Linear,
                         ::testing::Combine(::testing::Values(Size{1, 1, 1}, Size{1, 33, 17},
                                                              Size{3, 8, 40}, Size{13, 20, 33}),
                                            ::testing::Values(Precision::kF32, Precision::kBF16),
                                            ::testing::Values(DType::kF32, DType::kF16,
                                                              DType::kBF16)));

TEST(LinearShapes, KeepsLeadingAxes) {
  const Tensor x = randn({2, 3, 8}, 1);
  const Tensor w = randn({5, 8}, 2);
  EXPECT_EQ(ops::linear(x, LinearWeight::out_in(w), Precision::kF32).shape(), (Shape{2, 3, 5}));
}

TEST(LinearShapes, NoRowsGiveNoRowsAndAZeroGradient) {
  const Tensor x = autograd::parameter(randn({0, 8}, 1));
  const Tensor w = autograd::parameter(randn({5, 8}, 2));
  const Tensor y = ops::linear(x, LinearWeight::out_in(w), Precision::kF32);
  EXPECT_EQ(y.shape(), (Shape{0, 5}));
  autograd::backward(y, y.detach());
  for (const float g : autograd::gradient(w).values<float>()) EXPECT_EQ(g, 0);
}

TEST(LinearTape, AccumulatesWeightGradientsOfTwoUses) {
  const Tensor w = autograd::parameter(randn({4, 8}, 2));
  const Tensor x = randn({3, 8}, 1);
  const Tensor dy = randn({3, 4}, 3);
  for (int use = 0; use < 2; ++use) {
    autograd::backward(ops::linear(x, LinearWeight::out_in(w), Precision::kF32), dy);
  }
  const Tensor twice = autograd::gradient(w);
  const Tensor fresh = autograd::parameter(w.detach());
  autograd::backward(ops::linear(x, LinearWeight::out_in(fresh), Precision::kF32), dy);
  for (int64_t i = 0; i < twice.numel(); ++i) {
    const float once = autograd::gradient(fresh).data<float>()[i];
    EXPECT_NEAR(twice.data<float>()[i], 2 * once, 1e-5f * (1 + std::abs(once)));
  }
}

TEST(LinearTape, LeavesColumnsOfOtherPartsOfTheTensorAlone) {
  const Tensor w = autograd::parameter(randn({8, 10}, 2));
  const Tensor y = ops::linear(randn({3, 8}, 1), LinearWeight::in_out(w, 4, 6), Precision::kF32);
  autograd::backward(y, randn(y.shape(), 3));
  const Tensor dw = autograd::gradient(w);
  for (int64_t k = 0; k < 8; ++k) {
    for (int64_t n = 0; n < 10; ++n) EXPECT_EQ(dw.data<float>()[k * 10 + n] == 0, n < 4);
  }
}

void expect_shape_error(const Tensor& x, const LinearWeight& w, const char* message) {
  try {
    ops::linear(x, w, Precision::kF32);
    FAIL() << "no error, expected: " << message;
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), message);
  }
}

// One call for several layers of the same x is only faster.
TEST(LinearOfSeveralWeights, HasTheBitsAndGradientsOfEach) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_K}) {
    for (const int64_t T : {1, 11}) {
      const Tensor x = randn({T, 256}, 1);
      const LinearWeight a = LinearWeight::out_in(weight_of({40, 256}, dtype, 2));
      const LinearWeight b = LinearWeight::out_in(weight_of({8, 256}, dtype, 3));
      const LinearWeight other = LinearWeight::out_in(weight_of({24, 256}, DType::kQ6_K, 4));
      const auto [ya, yb, yc] = ops::linear(x, {a, b, other}, Precision::kF32);
      EXPECT_TRUE(test::same_bits(ya, ops::linear(x, a, Precision::kF32)));
      EXPECT_TRUE(test::same_bits(yb, ops::linear(x, b, Precision::kF32)));
      EXPECT_TRUE(test::same_bits(yc, ops::linear(x, other, Precision::kF32)));
    }
  }
  const Tensor leaf = autograd::parameter(randn({3, 64}, 1));
  const LinearWeight a = LinearWeight::out_in(autograd::parameter(randn({5, 64}, 2)));
  const LinearWeight b = LinearWeight::out_in(autograd::parameter(randn({5, 64}, 3)));
  const auto [ya, yb] = ops::linear(leaf, {a, b}, Precision::kF32);
  autograd::backward(ops::add(ya, yb), randn({3, 5}, 4));
  const Tensor together = autograd::gradient(leaf).clone();
  autograd::clear_gradient(leaf);
  autograd::backward(
      ops::add(ops::linear(leaf, a, Precision::kF32), ops::linear(leaf, b, Precision::kF32)),
      randn({3, 5}, 4));
  EXPECT_TRUE(test::same_bits(autograd::gradient(leaf), together));
}

TEST(LinearErrors, NameTheShapeTheyGot) {
  expect_shape_error(randn({2, 7}, 1), LinearWeight::out_in(randn({5, 8}, 2)),
                     "linear: x is [2, 7], w needs 8 in the last axis");
  expect_shape_error(randn({2, 8}, 1), LinearWeight::out_in(randn({3, 5, 8}, 2)),
                     "linear: w is a stack of 3 matrices, needs one");
  LinearWeight beyond = LinearWeight::out_in(randn({5, 8}, 2));
  beyond.offset = 1;
  expect_shape_error(randn({2, 8}, 1), beyond,
                     "linear: w of 1 x 5 x 8 does not lie in its data [5, 8]");
  EXPECT_THROW(ops::linear(test::to_dtype(randn({2, 8}, 1), DType::kBF16),
                           LinearWeight::out_in(randn({5, 8}, 2)), Precision::kF32),
               NotSupported);
}

}  // namespace
}  // namespace corral
