#include "ops/add_bias/add_bias.h"

#include <gmock/gmock.h>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

class AddBias : public ::testing::TestWithParam<Shape> {};

TEST_P(AddBias, MatchesReferenceAndFiniteDifferences) {
  const int64_t D = GetParam()[-1];
  const test::OpCase c{.name = "add_bias",
                       .inputs = {randn(GetParam(), 1), randn({D}, 2)},
                       .op = [](auto& in) { return add_bias(in[0], in[1]); },
                       .reference =
                           [](const test::Values& in) {
                             std::vector<double> y = in[0];
                             for (size_t i = 0; i < y.size(); ++i) y[i] += in[1][i % in[1].size()];
                             return y;
                           },
                       .terms = 16};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, AddBias,
                         ::testing::Values(Shape{1, 2}, Shape{2, 3, 17}, Shape{0, 4}, Shape{5, 67},
                                           Shape{131, 3}));

TEST(AddBias, GradientHasTheSameBitsForAnyNumberOfThreads) {
  for (const simd::Isa isa : test::machine_isas()) {
    Tensor first;
    for (const int threads : {1, 2, 5}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor b = autograd::parameter(randn({48}, 1, device));
      autograd::backward(add_bias(randn({1000, 48}, 2, device), b), randn({1000, 48}, 3, device));
      const Tensor db = autograd::gradient(b);
      if (!first.defined()) first = db;
      EXPECT_TRUE(test::same_bits(first, db)) << simd::isa_name(isa) << ", " << threads;
    }
  }
}

TEST(AddBiasErrors, NameTheShapeTheyGot) {
  EXPECT_THAT(
      [] {
        add_bias(randn({2, 8}, 1), randn({7}, 2));
      },
      ::testing::ThrowsMessage<ShapeError>(::testing::StrEq("add_bias: b is [7], x needs [8]")));
  EXPECT_THROW(add_bias(randn({}, 1), randn({1}, 2)), ShapeError);
  EXPECT_THROW(add_bias(randn({2, 8}, 1), test::to_dtype(randn({8}, 2), DType::kF16)),
               NotSupported);
}

}  // namespace
}  // namespace corral::ops
