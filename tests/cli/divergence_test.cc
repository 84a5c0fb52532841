#include "cli/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"
#include "support/tensors.h"

namespace corral::cli {
namespace {

Tensor logits(const std::vector<float>& values, int64_t rows) {
  return Tensor::from(values, {rows, std::ssize(values) / rows}, test::test_device());
}

TEST(Divergence, IsTheSumOfTheDefinition) {
  Divergence d;
  // p = (3/4, 1/4), q = (1/4, 3/4); then the same distribution with other constants.
  d.add(logits({std::log(3.0f), 0, 5, 5}, 2), logits({0, std::log(3.0f), -7, -7}, 2));
  EXPECT_EQ(d.positions(), 2);
  EXPECT_NEAR(d.mean(), 0.5 * (0.75 * std::log(3.0) - 0.25 * std::log(3.0)), 1e-6);
  EXPECT_EQ(d.same_top_share(), 0.5);
  EXPECT_NEAR(d.percentile(0.5), 0, 1e-12);
  EXPECT_NEAR(d.percentile(0.99), 0.5 * std::log(3.0), 1e-6);
}

TEST(Divergence, OfWhatIsImpossibleInTheReferenceIsNothing) {
  Divergence d;
  d.add(logits({0, -INFINITY}, 1), logits({0, 0}, 1));
  EXPECT_NEAR(d.mean(), std::log(2.0), 1e-6);
}

TEST(Divergence, NeedsTheSameVocabulary) {
  Divergence d;
  EXPECT_THROW(d.add(logits({0, 1}, 1), logits({0, 1, 2}, 1)), ShapeError);
}

}  // namespace
}  // namespace corral::cli
