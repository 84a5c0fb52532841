#include "ops/select_rows/select_rows.h"

#include <gmock/gmock.h>

#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;

struct Selection {
  int64_t a;
  int64_t b;
  int64_t width;
  std::vector<int64_t> rows;
};

class SelectRows : public ::testing::TestWithParam<Selection> {};

TEST_P(SelectRows, MatchesReferenceAndFiniteDifferences) {
  const Selection s = GetParam();
  const test::OpCase c{.name = "select_rows",
                       .inputs = {randn({s.a, s.width}, 1), randn({s.b, s.width}, 2)},
                       .op = [s](auto& in) { return select_rows(in[0], in[1], s.rows); },
                       .reference =
                           [s](const test::Values& in) {
                             std::vector<double> both = in[0];
                             both.insert(both.end(), in[1].begin(), in[1].end());
                             std::vector<double> y;
                             for (const int64_t row : s.rows) {
                               const auto at = both.begin() + row * s.width;
                               y.insert(y.end(), at, at + s.width);
                             }
                             return y;
                           },
                       .terms = 8};
  check_forward(c);
  check_grad(c);
}
INSTANTIATE_TEST_SUITE_P(Cases, SelectRows,
                         ::testing::Values(Selection{3, 2, 5, {4, 0, 0, 2, 3, 0}},
                                           Selection{1, 1, 1, {1}}, Selection{4, 0, 3, {3, 1}},
                                           Selection{2, 3, 17, {}},
                                           Selection{2, 1, 4, {0, 1, 2, 2, 1, 0, 2, 2, 2}}));

TEST(SelectRows, TakesOneSourceToo) {
  const std::vector<int64_t> rows = {2, 0};
  const Tensor a = autograd::parameter(randn({3, 4}, 1));
  const Tensor y = select_rows(a, {}, rows);
  EXPECT_TRUE(test::same_bits(y.rows(0, 1), a.rows(2, 3)));
  autograd::backward(y, randn({2, 4}, 2));
  const Tensor da = autograd::gradient(a);
  for (const float v : da.rows(1, 2).values<float>()) EXPECT_EQ(v, 0.0f);
  EXPECT_TRUE(test::same_bits(da.rows(2, 3), randn({2, 4}, 2).rows(0, 1)));
}

TEST(SelectRowsErrors, NameWhatTheyGot) {
  const std::vector<int64_t> rows = {0, 5};
  EXPECT_THAT(
      [&] {
        select_rows(randn({3, 4}, 1), randn({2, 4}, 2), rows);
      },
      ::testing::ThrowsMessage<UsageError>(::testing::HasSubstr("index 1 is 5, there are 5 rows")));
  const std::vector<int64_t> negative = {-1};
  EXPECT_THROW(select_rows(randn({3, 4}, 1), {}, negative), UsageError);
  EXPECT_THROW(select_rows(randn({3, 4}, 1), randn({2, 5}, 2), rows), ShapeError);
  EXPECT_THROW(select_rows(randn({12}, 1), {}, rows), ShapeError);
  EXPECT_THROW(select_rows(test::to_dtype(randn({6, 2}, 1), DType::kBF16), {}, rows), NotSupported);
}

}  // namespace
}  // namespace corral::ops
