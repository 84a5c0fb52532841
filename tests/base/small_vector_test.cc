#include "base/small_vector.h"

#include <gmock/gmock.h>

#include <numeric>
#include <utility>
#include <vector>

namespace corral {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

using Few = SmallVector<int, 3>;

Few counting(size_t n) {
  Few v(n);
  std::iota(v.begin(), v.end(), 1);
  return v;
}

TEST(SmallVector, KeepsItsValuesWhenItGrowsBeyondTheFew) {
  Few v;
  EXPECT_TRUE(v.empty());
  std::vector<int> all;
  for (int i = 0; i < 50; ++i) {
    v.push_back(7 * i);
    all.push_back(7 * i);
    ASSERT_THAT(v, ElementsAreArray(all));
    ASSERT_EQ(v.back(), 7 * i);
  }
}

TEST(SmallVector, AppendsAValueOfItsOwn) {
  Few v = {5, 6, 7};
  v.push_back(v[0]);
  v.append([&] { return v[1]; });
  EXPECT_THAT(v, ElementsAre(5, 6, 7, 5, 6));
}

TEST(SmallVector, NewValuesOfALongerOneAreZero) {
  Few v = {1, 2};
  v.resize(6);
  EXPECT_THAT(v, ElementsAre(1, 2, 0, 0, 0, 0));
  v.resize(1);
  v.resize(2);
  EXPECT_THAT(v, ElementsAre(1, 0));
}

class SmallVectorOfSize : public ::testing::TestWithParam<size_t> {};

TEST_P(SmallVectorOfSize, CopiesAreApart) {
  Few v = counting(GetParam());
  Few copy = v;
  EXPECT_EQ(copy, v);
  for (int& x : copy) x = -x;
  EXPECT_EQ(v, counting(GetParam()));
  v = copy;
  EXPECT_EQ(v, copy);
  v = std::as_const(v);
  EXPECT_EQ(v, copy);
}

TEST_P(SmallVectorOfSize, AMovedOneIsEmptyAndUsable) {
  Few v = counting(GetParam());
  Few taken = std::move(v);
  EXPECT_EQ(taken, counting(GetParam()));
  EXPECT_TRUE(v.empty());  // NOLINT(bugprone-use-after-move)
  v.push_back(9);
  EXPECT_THAT(v, ElementsAre(9));
  v = std::move(taken);
  EXPECT_EQ(v, counting(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(FewAndMany, SmallVectorOfSize, ::testing::Values(0, 1, 3, 4, 9));

TEST(SmallVector, ComparesSizesAndValues) {
  EXPECT_FALSE((Few{1, 2} == Few{1, 2, 3}));
  EXPECT_FALSE((Few{1, 2} == Few{1, 3}));
  EXPECT_EQ(Few(std::vector<int>{1, 2, 3, 4}), (Few{1, 2, 3, 4}));
}

}  // namespace
}  // namespace corral
