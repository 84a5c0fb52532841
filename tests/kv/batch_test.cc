#include "kv/batch.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace corral::kv {
namespace {

Batch two_sequences() {
  Batch batch;
  batch.append(std::vector<int32_t>{10, 11, 12, 13}, 5, 1);
  batch.append(std::vector<int32_t>{20, 21, 22}, 0, 2);
  return batch;
}

TEST(BatchOfRows, KeepsTokensPositionsAndRuns) {
  const Batch some = two_sequences().of_rows(std::vector<int64_t>{0, 2, 3, 4, 5});
  EXPECT_EQ(some.tokens, (std::vector<int32_t>{10, 12, 13, 20, 21}));
  EXPECT_EQ(some.positions, (std::vector<int64_t>{5, 7, 8, 0, 1}));
  ASSERT_EQ(some.segments.size(), 3U);
  const std::vector<Segment> wanted = {{0, 1, 5, 1}, {1, 2, 7, 1}, {3, 2, 0, 2}};
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(some.segments[i].begin, wanted[i].begin);
    EXPECT_EQ(some.segments[i].length, wanted[i].length);
    EXPECT_EQ(some.segments[i].first_position, wanted[i].first_position);
    EXPECT_EQ(some.segments[i].sequence, wanted[i].sequence);
  }
}

TEST(BatchOfRows, OfNoneIsEmpty) {
  const Batch none = two_sequences().of_rows({});
  EXPECT_EQ(none.size(), 0);
  EXPECT_TRUE(none.segments.empty());
}

TEST(BatchOfRows, RefusesRowsThatThereAreNotOrNotInOrder) {
  const Batch batch = two_sequences();
  for (const std::vector<int64_t>& rows : {std::vector<int64_t>{7}, {-1}, {3, 2}, {2, 2}}) {
    EXPECT_THROW(static_cast<void>(batch.of_rows(rows)), UsageError);
  }
}

}  // namespace
}  // namespace corral::kv
