#include "ops/combine/combine.h"

#include <gtest/gtest.h>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

struct Case {
  int64_t T;
  int64_t D;
  int64_t E;
  int64_t top_k;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << str("T = ", c.T, ", D = ", c.D, ", E = ", c.E, ", K = ", c.top_k);
}

class Combine : public ::testing::TestWithParam<Case> {};

TEST_P(Combine, MatchesReferenceAndFiniteDifferences) {
  const Case p = GetParam();
  const Routing routing = route_top_k(randn({p.T, p.E}, 5), p.top_k);
  const test::OpCase c{.name = "combine",
                       .inputs = {randn({p.T, p.D}, 2), randn({routing.rows(), p.D}, 1)},
                       .op = [routing](auto& in) { return combine(in[0], in[1], routing); },
                       .reference =
                           [routing, p](auto& in) {
                             std::vector<double> y(in[0].begin(), in[0].end());
                             for (size_t n = 0; n < routing.token_N.size(); ++n) {
                               for (size_t d = 0; d < static_cast<size_t>(p.D); ++d) {
                                 y[static_cast<size_t>(routing.token_N[n] * p.D) + d] +=
                                     in[1][n * static_cast<size_t>(p.D) + d];
                               }
                             }
                             return y;
                           },
                       .terms = p.top_k + 1};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, Combine,
                         ::testing::Values(Case{0, 4, 3, 1}, Case{1, 1, 1, 1}, Case{7, 5, 3, 1},
                                           Case{9, 33, 4, 2}, Case{5, 17, 4, 4}));

// The order of a token's sum is that of its experts, best first; experts' places in memory are not.
TEST(Combine, SumsATokensRowsInTheOrderOfItsExperts) {
  const Routing routing = make_routing({2, 0, 1}, 1, 3, 3);
  // By rows: expert 0, 1, 2. In the order 2, 0, 1: (1e8 + -1e8) + 1 = 1; in row order it is 0.
  const std::vector<float> rows = {-1e8f, 1, 1e8f};
  const DevicePtr device = test::test_device();
  const Tensor none = Tensor::zeros({1, 1}, DType::kF32, device);
  const Tensor y = combine(none, Tensor::from(rows, {3, 1}, device), routing);
  EXPECT_EQ(y.values<float>()[0], 1.0f);
}

// (1 + 1e8) - 1e8 would be 0.
TEST(Combine, AddsTheSharedExpertToTheirSum) {
  const Routing routing = make_routing({0, 1}, 1, 2, 2);
  const DevicePtr device = test::test_device();
  const Tensor shared = Tensor::from(std::vector<float>{1}, {1, 1}, device);
  const Tensor y =
      combine(shared, Tensor::from(std::vector<float>{1e8f, -1e8f}, {2, 1}, device), routing);
  EXPECT_EQ(y.values<float>()[0], 1.0f);
}

TEST(CombineErrors, NameTheShapeTheyNeed) {
  const Routing routing = make_routing({0, 1, 1}, 3, 2, 1);
  try {
    combine(randn({3, 4}, 1), randn({2, 4}, 1), routing);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "combine: rows are [2, 4], needs [3, D]");
  }
  const Tensor rows = randn({3, 4}, 1);
  EXPECT_THROW(combine(randn({3, 5}, 1), rows, routing), ShapeError);
  const Tensor half = test::to_dtype(rows, DType::kF16);
  EXPECT_THROW(combine(rows, half, routing), NotSupported);
  EXPECT_THROW(combine(half, rows, routing), NotSupported);
}

}  // namespace
}  // namespace corral::ops
