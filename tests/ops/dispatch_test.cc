#include "ops/dispatch/dispatch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/add/add.h"
#include "ops/combine/combine.h"
#include "ops/silu_mul/silu_mul.h"
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

std::vector<double> reference(const test::Values& in, const Routing& routing) {
  const auto N = static_cast<size_t>(routing.rows());
  const size_t D = N == 0 ? 0 : in[0].size() / static_cast<size_t>(routing.tokens);
  std::vector<double> rows(N * D);
  for (size_t i = 0; i < N; ++i) {
    const size_t t = i / static_cast<size_t>(routing.top_k);
    const auto n = static_cast<size_t>(routing.row_of_TK[i]);
    const auto E = static_cast<size_t>(routing.experts);
    const double l = in[1][t * E + static_cast<size_t>(routing.expert_TK[i])];
    const double score = 1 / (1 + std::exp(-l));
    for (size_t d = 0; d < D; ++d) rows[n * D + d] = score * in[0][t * D + d];
  }
  return rows;
}

class Dispatch : public ::testing::TestWithParam<Case> {};

TEST_P(Dispatch, MatchesReferenceAndFiniteDifferences) {
  const Case p = GetParam();
  const Tensor logits = randn({p.T, p.E}, 2);
  const Routing routing = route_top_k(logits, p.top_k);
  const test::OpCase c{.name = "dispatch",
                       .inputs = {randn({p.T, p.D}, 1), logits},
                       .op = [routing](auto& in) { return dispatch(in[0], in[1], routing); },
                       .reference = [routing](auto& in) { return reference(in, routing); },
                       .terms = p.D};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Shapes, Dispatch,
                         ::testing::Values(Case{0, 4, 3, 1}, Case{1, 1, 1, 1}, Case{7, 5, 3, 1},
                                           Case{9, 33, 4, 1}, Case{8, 16, 4, 2}, Case{5, 3, 4, 4}));

TEST(Dispatch, HasTheSameBitsForAnyNumberOfThreads) {
  const Tensor logits = randn({700, 8}, 2);
  const Routing routing = route_top_k(logits, 2);
  for (const simd::Isa isa : test::machine_isas()) {
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 3}) {
      const DevicePtr device = test::test_device(isa, threads);
      const Tensor x = autograd::parameter(randn({700, 40}, 1, device));
      const Tensor l = autograd::parameter(test::copy_to(logits, device));
      const Tensor y = dispatch(x, l, routing);
      autograd::backward(y, randn({1400, 40}, 3, device));
      const std::vector<Tensor> got = {y.detach(), autograd::gradient(x), autograd::gradient(l)};
      if (first.empty()) first = got;
      for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(test::same_bits(first[i], got[i])) << i;
    }
  }
}

/// An "expert" that is not homogeneous, as SwiGLU is not.
Tensor expert(const Tensor& rows) { return silu_mul(rows, rows); }
double expert(double x) { return x * x / (1 + std::exp(-x)); }

// Without an expert that all share.
Tensor combined(const Tensor& rows, const Routing& routing) {
  const Shape shape = {routing.tokens, rows.dim(1)};
  return combine(Tensor::zeros(shape, DType::kF32, rows.device()), rows, routing);
}

// A random MoE layer, token by token from the definition: out_t = sum over its experts of f(s x_t).
std::vector<double> moe_reference(const test::Values& in, const Routing& routing, int64_t D) {
  std::vector<double> y(in[0].size(), 0.0);
  for (size_t i = 0; i < routing.expert_TK.size(); ++i) {
    const size_t t = i / static_cast<size_t>(routing.top_k);
    const auto E = static_cast<size_t>(routing.experts);
    const double l = in[1][t * E + static_cast<size_t>(routing.expert_TK[i])];
    const double score = 1 / (1 + std::exp(-l));
    const auto width = static_cast<size_t>(D);
    for (size_t d = 0; d < width; ++d) y[t * width + d] += expert(score * in[0][t * width + d]);
  }
  return y;
}

void check_moe(int64_t top_k) {
  constexpr int64_t kT = 12;
  constexpr int64_t kD = 9;
  const Tensor logits = randn({kT, 5}, 1);
  const Routing routing = route_top_k(logits, top_k);
  const test::OpCase c{
      .name = "moe",
      .inputs = {randn({kT, kD}, 2), logits},
      .op = [routing](
                auto& in) { return combined(expert(dispatch(in[0], in[1], routing)), routing); },
      .reference = [routing](auto& in) { return moe_reference(in, routing, kD); },
      .terms = kD};
  check_forward(c);
  check_grad(c);
}

// f(s x), not s f(x): the reference fails either way round if the score moves behind the expert.
TEST(Dispatch, ScoreMultipliesTheExpertInput_FactsRow14) {
  check_moe(1);
  const Routing routing = make_routing({0}, 1, 1, 1);
  const DevicePtr device = test::test_device();
  const Tensor x = Tensor::from(std::vector<float>{2}, {1, 1}, device);
  const Tensor half = Tensor::zeros({1, 1}, DType::kF32, device);  // the sigmoid of 0
  const Tensor y = combined(expert(dispatch(x, half, routing)), routing);
  EXPECT_FLOAT_EQ(y.values<float>()[0], static_cast<float>(expert(1.0)));
  EXPECT_GT(std::abs(y.values<float>()[0] - static_cast<float>(0.5 * expert(2.0))), 0.1f);
}

// T differs from E and from top_k T, and every score is another number: reading the logits across
// tokens and experts, or in the order of rows instead of tokens, gives another result.
TEST(Dispatch, ScoresBelongToTheirRowAndAreNotTransposed_FactsRow15) { check_moe(2); }

// The shared expert reads the same x: before or after, it must be the same.
TEST(Dispatch, LeavesItsInputToTheSharedExpert_FactsRow17) {
  const DevicePtr device = test::test_device();
  const Tensor x = randn({20, 16}, 1, device);
  const Tensor before_bits = x.clone();
  const Tensor logits = randn({20, 4}, 2, device);
  const Routing routing = route_top_k(logits, 1);
  const auto routed = [&] { return combined(expert(dispatch(x, logits, routing)), routing); };
  const Tensor shared_first = expert(x);
  const Tensor a = add(shared_first, routed());
  const Tensor routed_first = routed();
  const Tensor b = add(expert(x), routed_first);
  EXPECT_TRUE(test::same_bits(a, b));
  EXPECT_TRUE(test::same_bits(x, before_bits));
}

// Values from the definition: 1 / (1 + e^-1.25), and for softmax over (1.25, 0, -2) another number.
TEST(Dispatch, ScoresAreSigmoidsOfTheChosenLogitsAlone_FactsRow16) {
  const DevicePtr device = test::test_device();
  const Tensor logits = Tensor::from(std::vector<float>{1.25f, 0, -2,  //
                                                        -3, -1.5f, -40},
                                     {2, 3}, device);
  const Tensor ones = Tensor::from(std::vector<float>{1, 1}, {2, 1}, device);
  const Tensor rows = dispatch(ones, logits, route_top_k(logits, 1));
  EXPECT_FLOAT_EQ(rows.values<float>()[0], 0.77729986f);
  EXPECT_FLOAT_EQ(rows.values<float>()[1], 0.18242552f);
}

TEST(Dispatch, GivesNoGradientToLogitsThatWereNotChosen) {
  const Tensor l = autograd::parameter(randn({6, 4}, 1));
  const Routing routing = route_top_k(l, 1);
  autograd::backward(dispatch(randn({6, 5}, 3, l.device()), l, routing),
                     randn({6, 5}, 2, l.device()));
  const Tensor d = autograd::gradient(l);
  for (int32_t t = 0; t < 6; ++t) {
    for (int32_t e = 0; e < 4; ++e) {
      const bool chosen = routing.expert_TK[static_cast<size_t>(t)] == e;
      EXPECT_EQ(d.values<float>()[static_cast<size_t>(t * 4 + e)] != 0.0f, chosen);
    }
  }
}

TEST(DispatchErrors, NameTheShapeTheyNeed) {
  const Routing routing = make_routing({0, 1, 1}, 3, 2, 1);
  try {
    dispatch(randn({2, 4}, 1), randn({3, 2}, 2), routing);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "dispatch: x is [2, 4], needs [3, D]");
  }
  EXPECT_THROW(dispatch(randn({3, 4}, 1), randn({2, 2}, 2), routing), ShapeError);
  EXPECT_THROW(dispatch(randn({3, 4}, 1), randn({3, 3}, 2), routing), ShapeError);
  const Tensor half = test::to_dtype(randn({3, 4}, 1), DType::kF16);
  EXPECT_THROW(dispatch(half, randn({3, 2}, 2), routing), NotSupported);
}

}  // namespace
}  // namespace corral::ops
