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

}  // namespace
}  // namespace corral::ops
