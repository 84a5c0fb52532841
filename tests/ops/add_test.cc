#include "ops/add/add.h"

#include <gtest/gtest.h>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

class Add : public ::testing::TestWithParam<Shape> {};

TEST_P(Add, MatchesReferenceAndFiniteDifferences) {
  const test::OpCase c{.name = "add",
                       .inputs = {randn(GetParam(), 1), randn(GetParam(), 2)},
                       .op = [](auto& in) { return add(in[0], in[1]); },
                       .reference =
                           [](auto& in) {
                             std::vector<double> y = in[0];
                             for (size_t i = 0; i < y.size(); ++i) y[i] += in[1][i];
                             return y;
                           }};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, Add,
                         ::testing::Values(Shape{0, 3}, Shape{1}, Shape{3, 17}, Shape{2, 3, 5}));

TEST(Add, SplitsLargeTensorsOverTheThreads) {
  const Tensor a = randn({100'003}, 1);
  const Tensor b = randn({100'003}, 2);
  const Tensor y = add(a, b);
  for (size_t i = 0; i < 100'003; ++i) {
    ASSERT_EQ(y.values<float>()[i], a.values<float>()[i] + b.values<float>()[i]);
  }
}

TEST(AddErrors, NameWhatDiffers) {
  try {
    add(randn({2, 3}, 1), randn({3, 2}, 2));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "add: a is [2, 3], b is [3, 2]");
  }
  EXPECT_THROW(add(randn({2}, 1), test::to_dtype(randn({2}, 2), DType::kBF16)), NotSupported);
}

}  // namespace
}  // namespace corral::ops
