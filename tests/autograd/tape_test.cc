#include "autograd/tape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "autograd/tiny_ops.h"
#include "support/tensors.h"

namespace corral::autograd {
namespace {

using test::plus;
using test::times;
using test::times_into;

class Tape : public ::testing::Test {
 protected:
  Tensor leaf(const std::vector<float>& values) const { return parameter(constant(values)); }
  Tensor constant(const std::vector<float>& values) const {
    return Tensor::from(values, {static_cast<int64_t>(values.size())}, device_);
  }
  static std::vector<float> grad(const Tensor& leaf) {
    const Tensor g = gradient(leaf);
    return g.defined() ? std::vector<float>(g.values<float>().begin(), g.values<float>().end())
                       : std::vector<float>();
  }

  DevicePtr device_ = test::test_device();
};

using Values = std::vector<float>;

TEST_F(Tape, GradientsReachEveryLeaf) {
  const Tensor a = leaf({2, 3});
  const Tensor b = leaf({5, 7});
  backward(times(a, b), constant({1, 10}));
  EXPECT_EQ(grad(a), (Values{5, 70}));
  EXPECT_EQ(grad(b), (Values{2, 30}));
}

TEST_F(Tape, AScalarLossNeedsNoSeed) {
  const Tensor a = leaf({3});
  backward(times(a, constant({4})));
  EXPECT_EQ(grad(a), (Values{4}));
}

TEST_F(Tape, ManyValuesNeedASeed) {
  EXPECT_THROW(backward(times(leaf({1, 2}), constant({1, 1}))), ShapeError);
}

TEST_F(Tape, AValueUsedTwiceByOneOpGetsBothGradients) {
  const Tensor x = leaf({3, 4});
  backward(plus(x, x), constant({1, 2}));
  EXPECT_EQ(grad(x), (Values{2, 4}));

  const Tensor y = leaf({3});
  backward(times(y, y));
  EXPECT_EQ(grad(y), (Values{6}));
}

TEST_F(Tape, ADiamondSumsItsPaths) {
  // y = (x * 2) + (x * 3), z = y * y: dz/dx = 2 * 5 x * 5
  const Tensor x = leaf({7});
  const Tensor y = plus(times(x, constant({2})), times(x, constant({3})));
  backward(times(y, y));
  EXPECT_EQ(grad(x), (Values{350}));
}

TEST_F(Tape, AGradientSharedByTwoInputsIsNotAddedToInPlace) {
  // plus() gives a and b the same tensor; the second path into a must not reach b.
  const Tensor a = leaf({1});
  const Tensor b = leaf({1});
  backward(plus(plus(a, b), times(a, constant({5}))));
  EXPECT_EQ(grad(a), (Values{6}));
  EXPECT_EQ(grad(b), (Values{1}));
}

TEST_F(Tape, TheCallersSeedIsNotChanged) {
  const Tensor x = leaf({1, 1});
  const Tensor seed = constant({1, 2});
  backward(plus(x, x), seed);
  EXPECT_EQ(seed.values<float>()[0], 1.0f);
  EXPECT_EQ(seed.values<float>()[1], 2.0f);
}

TEST_F(Tape, GradientsOfSeveralStepsAddUpUntilCleared) {
  const Tensor w = leaf({2});
  for (const float x : {3.0f, 4.0f}) backward(times(w, constant({x})));
  EXPECT_EQ(grad(w), (Values{7}));
  clear_gradient(w);
  EXPECT_FALSE(gradient(w).defined());
  backward(times(w, constant({9})));
  EXPECT_EQ(grad(w), (Values{9}));
}

TEST_F(Tape, AGradientSomebodyHoldsStaysWhatItWas) {
  const Tensor w = leaf({2});
  backward(times(w, constant({3})));
  const Tensor held = gradient(w);
  backward(times(w, constant({4})));
  backward(times_into(constant({5}), w));
  EXPECT_EQ(held.values<float>()[0], 3.0f);
  EXPECT_EQ(grad(w), (Values{12}));
}

TEST_F(Tape, RulesThatSumInPlaceAndRulesThatAddMix) {
  const Tensor w = leaf({2});
  const Tensor x = constant({3});
  backward(plus(times_into(x, w), plus(times(x, w), times_into(x, w))));
  EXPECT_EQ(grad(w), (Values{9}));
}

TEST_F(Tape, AViewSharesTheNodeOfItsTensor) {
  const Tensor x = leaf({1, 2, 3, 4});
  const Tensor y = times(x, x);
  EXPECT_EQ(y.view({2, 2}).node(), y.node());
  backward(times(x.view({2, 2}), constant({5, 6, 7, 8}).view({2, 2})),
           constant({1, 1, 1, 1}).view({2, 2}));
  EXPECT_EQ(grad(x), (Values{5, 6, 7, 8}));
  EXPECT_EQ(gradient(x).shape(), (Shape{4}));
}

TEST_F(Tape, ADetachedValueStopsTheGradient) {
  const Tensor x = leaf({3});
  const Tensor y = times(x, constant({2}));
  backward(plus(y.detach(), x));
  EXPECT_EQ(grad(x), (Values{1}));
}

TEST_F(Tape, IsNotWrittenWithoutParameters) {
  EXPECT_EQ(times(constant({1}), constant({2})).node(), nullptr);
  EXPECT_THROW(backward(constant({1})), Error);
}

TEST_F(Tape, IsNotWrittenUnderNoGrad) {
  const Tensor x = leaf({1});
  {
    const NoGrad outer;
    {
      const NoGrad inner;
      EXPECT_EQ(plus(x, x).node(), nullptr);
    }
    EXPECT_EQ(plus(x, x).node(), nullptr);
    EXPECT_FALSE(recording({x}));
  }
  EXPECT_NE(plus(x, x).node(), nullptr);
  EXPECT_TRUE(recording({x}));
}

TEST_F(Tape, UsedTwiceIsAnErrorThatNamesTheOp) {
  const Tensor y = times(leaf({1}), leaf({2}));
  backward(y);
  try {
    backward(y);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "backward: the tape behind times was already used");
  }
}

TEST_F(Tape, AGradientOfAnotherSizeIsAnErrorThatNamesTheOp) {
  const Tensor x = times(leaf({1, 2}), constant({1, 1}));
  const Tensor bad = record("bad", {x}, constant({1}),
                            [](const Tensor& dy, GradientSink& sink) { sink.add(0, dy); });
  try {
    backward(bad);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("gradient of times"));
  }
}

TEST_F(Tape, UnneededGradientsAreSkipped) {
  const Tensor x = leaf({1});
  const Tensor other = constant({1});
  bool asked = true;
  const Tensor y =
      record("probe", {x, other}, constant({1}), [&](const Tensor& dy, GradientSink& sink) {
        asked = sink.needs(1);
        sink.add(0, dy);
        sink.add(1, dy);
      });
  backward(y);
  EXPECT_FALSE(asked);
  EXPECT_EQ(grad(x), (Values{1}));
}

TEST_F(Tape, BackwardFreesWhatTheOpsSaved) {
  const Tensor x = leaf({1});
  auto saved = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = saved;
  const Tensor y =
      record("keeper", {x}, constant({1}),
             [kept = std::move(saved)](const Tensor& dy, GradientSink& sink) { sink.add(0, dy); });
  EXPECT_FALSE(watch.expired());
  backward(y);
  EXPECT_TRUE(watch.expired());
}

TEST_F(Tape, ALongChainNeedsNoDeepCallStack) {
  const Tensor x = leaf({1});
  Tensor y = x;
  const Tensor one = constant({1});
  for (int i = 0; i < 20000; ++i) y = times(y, one);
  backward(y);
  EXPECT_EQ(grad(x), (Values{1}));
}

TEST_F(Tape, TheSecondOfTwoIdenticalStepsAllocatesNothing) {
  const Tensor w = parameter(test::randn({1 << 12}, 1, device_));
  const Tensor x = test::randn({1 << 12}, 2, device_);
  const Tensor seed = test::randn({1 << 12}, 3, device_);
  int64_t after_first = 0;
  for (int step = 0; step < 3; ++step) {
    clear_gradient(w);
    const Tensor y = times(plus(times_into(x, w), w), times(w, x));
    backward(y, seed);
    if (step == 0) after_first = device_->memory().system_allocations;
  }
  EXPECT_EQ(device_->memory().system_allocations, after_first);
}

}  // namespace
}  // namespace corral::autograd
