#include "ops/route/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;
using ::testing::ElementsAre;

Tensor logits(const std::vector<float>& values, int64_t experts) {
  return Tensor::from(values, {static_cast<int64_t>(values.size()) / experts, experts},
                      test::test_device());
}

TEST(Routing, SortsRowsByExpertAndThenByToken) {
  const Routing r = make_routing({2, 0, 2, 0, 1}, 5, 3, 1);
  EXPECT_THAT(r.offsets_E, ElementsAre(0, 2, 3, 5));
  EXPECT_THAT(r.token_N, ElementsAre(1, 3, 4, 0, 2));
  EXPECT_THAT(r.row_of_TK, ElementsAre(3, 0, 4, 1, 2));
  EXPECT_EQ(r.load(0), 2);
  EXPECT_EQ(r.rows(), 5);
}

TEST(Routing, KeepsEveryRowAndItsInverse) {
  const Routing r = route_top_k(randn({333, 8}, 1), 3);
  ASSERT_EQ(r.rows(), 999);
  for (int64_t e = 0; e < 8; ++e) {
    for (int64_t n = r.offsets_E[static_cast<size_t>(e)];
         n < r.offsets_E[static_cast<size_t>(e) + 1]; ++n) {
      const int64_t t = r.token_N[static_cast<size_t>(n)];
      bool found = false;
      for (int64_t k = 0; k < 3; ++k) {
        const auto i = static_cast<size_t>(t * 3 + k);
        found = found || (r.row_of_TK[i] == n && r.expert_TK[i] == e);
      }
      EXPECT_TRUE(found) << "row " << n;
      if (n > r.offsets_E[static_cast<size_t>(e)]) {
        EXPECT_LT(r.token_N[static_cast<size_t>(n) - 1], t);
      }
    }
  }
}

TEST(Routing, AnExpertWithoutTokensHasAnEmptyRange) {
  const Routing r = make_routing({3, 3}, 2, 5, 1);
  EXPECT_THAT(r.offsets_E, ElementsAre(0, 0, 0, 0, 2, 2));
  EXPECT_EQ(make_routing({}, 0, 5, 1).rows(), 0);
}

TEST(Routing, OfBadChoicesNamesTheToken) {
  try {
    make_routing({0, 4}, 2, 4, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "route: token 1 goes to expert 4 of 4");
  }
  EXPECT_THROW(make_routing({-1}, 1, 4, 1), Error);
  EXPECT_THROW(make_routing({2, 2}, 1, 4, 2), Error);
  EXPECT_THROW(make_routing({0, 1, 2}, 2, 4, 1), ShapeError);
  EXPECT_THROW(make_routing({}, 0, 4, 0), ShapeError);
  EXPECT_THROW(make_routing({}, 0, 4, 5), ShapeError);
  EXPECT_THROW(make_routing({}, int64_t{1} << 40, 4, 1), ShapeError);
}

TEST(RouteTopK, ChoosesTheLargestLogitAndTheLowestIndexOfEqualOnes) {
  const Routing r = route_top_k(logits({1, 3, 2,     //
                                        5, 5, 5,     //
                                        -2, -1, -1,  //
                                        0, -0.0f, 0},
                                       3),
                                1);
  EXPECT_THAT(r.expert_TK, ElementsAre(1, 0, 1, 0));
}

// Scores that round to the same f32 sigmoid still have an order.
TEST(RouteTopK, OrdersLogitsWhoseSigmoidsAreBothOne) {
  EXPECT_THAT(route_top_k(logits({30, 40}, 2), 1).expert_TK, ElementsAre(1));
  EXPECT_THAT(route_top_k(logits({-200, -150}, 2), 1).expert_TK, ElementsAre(1));
}

TEST(RouteTopK, WithMoreThanOneExpertATokenListsThemBestFirst_FactsRow18) {
  const Routing r = route_top_k(logits({1, 3, 2, 3,  //
                                        9, 8, 7, 6},
                                       4),
                                2);
  EXPECT_THAT(r.expert_TK, ElementsAre(1, 3, 0, 1));
  EXPECT_THAT(route_top_k(logits({2, 1, 3}, 3), 3).expert_TK, ElementsAre(2, 0, 1));
}

TEST(RouteTopK, InfinitiesHaveAnOrder) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(route_top_k(logits({1, inf, -inf}, 3), 3).expert_TK, ElementsAre(1, 0, 2));
}

TEST(RouteTopK, OfANanNamesTheFirstSuchToken) {
  Tensor x = randn({500, 4}, 1);
  x.mutable_data<float>()[4 * 321 + 2] = NAN;
  x.mutable_data<float>()[4 * 400] = NAN;
  try {
    route_top_k(x, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "route_top_k: token 321 has a router logit that is not a number");
  }
}

TEST(RouteTopK, IsTheSameForAnyNumberOfThreads) {
  const Routing one =
      route_top_k(randn({5000, 16}, 1, test::test_device(simd::Isa::kPortable, 1)), 2);
  const Routing three =
      route_top_k(randn({5000, 16}, 1, test::test_device(simd::Isa::kPortable, 3)), 2);
  EXPECT_EQ(one.expert_TK, three.expert_TK);
  EXPECT_EQ(one.token_N, three.token_N);
}

TEST(RouteTopK, RefusesWhatIsNotAMatrixOfLogits) {
  EXPECT_THROW(route_top_k(randn({4}, 1), 1), ShapeError);
  EXPECT_THROW(route_top_k(randn({4, 4}, 1), 5), ShapeError);
  EXPECT_THROW(route_top_k(randn({4, 4}, 1), 0), ShapeError);
  EXPECT_THROW(route_top_k(test::to_dtype(randn({4, 4}, 1), DType::kBF16), 1), NotSupported);
}

std::vector<double> reference_scores(const Routing& routing, const std::vector<double>& l_TE) {
  std::vector<double> scores(static_cast<size_t>(routing.rows()));
  for (size_t i = 0; i < scores.size(); ++i) {
    const size_t t = i / static_cast<size_t>(routing.top_k);
    const double l =
        l_TE[t * static_cast<size_t>(routing.experts) + static_cast<size_t>(routing.expert_TK[i])];
    scores[static_cast<size_t>(routing.row_of_TK[i])] = 1 / (1 + std::exp(-l));
  }
  return scores;
}

TEST(ExpertScores, MatchReferenceAndFiniteDifferences) {
  for (const int64_t top_k : {1, 2}) {
    const Tensor l = randn({11, 5}, 1);
    const auto routing = std::make_shared<const Routing>(route_top_k(l, top_k));
    const test::OpCase c{
        .name = "expert_scores",
        .inputs = {l},
        .op = [routing](auto& in) { return expert_scores(in[0], routing); },
        .reference = [routing](auto& in) { return reference_scores(*routing, in[0]); }};
    check_forward(c);
    check_grad(c);
  }
}

// Values from the definition: 1 / (1 + e^-1.25), and for softmax over (1.25, 0, -2) another number.
TEST(ExpertScores, AreSigmoidsOfTheChosenLogitsAlone_FactsRow16) {
  const Tensor l = logits({1.25f, 0, -2,  //
                           -3, -1.5f, -40},
                          3);
  const auto routing = std::make_shared<const Routing>(route_top_k(l, 1));
  const Tensor scores = expert_scores(l, routing);
  EXPECT_FLOAT_EQ(scores.values<float>()[0], 0.77729986f);
  EXPECT_FLOAT_EQ(scores.values<float>()[1], 0.18242552f);
}

TEST(ExpertScores, GiveNoGradientToExpertsThatWereNotChosen) {
  const Tensor l = autograd::parameter(randn({6, 4}, 1));
  const auto routing = std::make_shared<const Routing>(route_top_k(l, 1));
  autograd::backward(expert_scores(l, routing), randn({6}, 2, l.device()));
  const Tensor d = autograd::gradient(l);
  for (int32_t t = 0; t < 6; ++t) {
    for (int32_t e = 0; e < 4; ++e) {
      const bool chosen = routing->expert_TK[static_cast<size_t>(t)] == e;
      EXPECT_EQ(d.values<float>()[static_cast<size_t>(t * 4 + e)] != 0.0f, chosen);
    }
  }
}

TEST(ExpertScores, NeedTheRoutingsShape) {
  const auto routing = std::make_shared<const Routing>(make_routing({0, 1}, 2, 3, 1));
  EXPECT_THROW(expert_scores(randn({3, 3}, 1), routing), ShapeError);
  EXPECT_THROW(expert_scores(randn({2, 4}, 1), routing), ShapeError);
}

}  // namespace
}  // namespace corral::ops
