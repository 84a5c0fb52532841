#include "tensor/shape.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace corral {
namespace {

TEST(Shape, CountsItsElements) {
  EXPECT_EQ(Shape().numel(), 1);
  EXPECT_EQ((Shape{3, 4, 5}).numel(), 60);
  EXPECT_EQ((Shape{3, 0, 5}).numel(), 0);
}

TEST(Shape, GetsAnotherLastAxis) {
  EXPECT_EQ((Shape{3, 4}).with_last(7), (Shape{3, 7}));
  EXPECT_EQ((Shape{3, 0}).with_last(5).numel(), 15);
  EXPECT_THROW(Shape().with_last(1), ShapeError);
  EXPECT_THROW((Shape{3, 4}).with_last(-1), ShapeError);
  EXPECT_THROW((Shape{3, 4}).with_last(INT64_MAX), ShapeError);
}

TEST(Shape, IndexesFromBothEnds) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 4);
  EXPECT_EQ(shape[-3], 2);
  EXPECT_THROW(shape[3], ShapeError);
  EXPECT_THROW(shape[-4], ShapeError);
}

TEST(Shape, RefusesMoreElementsThanAnInt64Holds) {
  const int64_t big = int64_t{1} << 32;
  EXPECT_THROW((Shape{big, big}), ShapeError);
  EXPECT_THROW((Shape{INT64_MAX, 2}), ShapeError);
  EXPECT_EQ((Shape{INT64_MAX, 1}).numel(), INT64_MAX);
}

TEST(Shape, RefusesNegativeAxesAndTooMany) {
  EXPECT_THROW((Shape{3, -1}), ShapeError);
  EXPECT_THROW(Shape(std::vector<int64_t>{1, 1, 1, 1, 1}), ShapeError);
}

TEST(Shape, ComparesRankAndAxes) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2}), (Shape{2, 0}));
}

TEST(Shape, PrintsItsAxes) {
  EXPECT_EQ(str(Shape{3, 4}), "[3, 4]");
  EXPECT_EQ(str(Shape()), "[]");
}

}  // namespace
}  // namespace corral
