#include <gtest/gtest.h>

#include <vector>

#include "autograd/tape.h"
#include "autograd/tiny_ops.h"
#include "support/tensors.h"

namespace corral::autograd {
namespace {

using test::plus;
using test::same_bits;
using test::times;
using test::times_into;

constexpr int kLayers = 4;

class Checkpoint : public ::testing::Test {
 protected:
  Checkpoint() {
    for (int i = 0; i < kLayers; ++i) {
      weights_.push_back(parameter(test::randn({64}, static_cast<uint64_t>(i) + 10, device_)));
    }
  }

  // A residual block; the weight is used twice, x on two paths.
  Tensor block(const Tensor& x, int layer) const {
    const Tensor& w = weights_[static_cast<size_t>(layer)];
    return plus(x, times(times_into(x, w), times(w, x)));
  }

  struct Result {
    Tensor y;
    std::vector<Tensor> gradients;
  };
  Result run(bool checkpointed, bool input_needs_gradient) {
    Tensor x = test::randn({64}, 1, device_);
    if (input_needs_gradient) x = parameter(x);
    Tensor h = x;
    for (int i = 0; i < kLayers; ++i) {
      h = checkpointed ? checkpoint([this, i](const Tensor& in, bool) { return block(in, i); }, h)
                       : block(h, i);
    }
    Result result;
    result.y = h.detach();
    backward(h, test::randn({64}, 2, device_));
    for (const Tensor& w : weights_) {
      result.gradients.push_back(gradient(w).clone());
      clear_gradient(w);
    }
    if (input_needs_gradient) result.gradients.push_back(gradient(x).clone());
    return result;
  }

  DevicePtr device_ = test::test_device();
  std::vector<Tensor> weights_;
};

TEST_F(Checkpoint, GivesTheSameBitsAsNone) {
  for (const bool input_needs_gradient : {true, false}) {
    const Result plain = run(false, input_needs_gradient);
    const Result again = run(true, input_needs_gradient);
    EXPECT_TRUE(same_bits(plain.y, again.y));
    ASSERT_EQ(plain.gradients.size(), again.gradients.size());
    for (size_t i = 0; i < plain.gradients.size(); ++i) {
      EXPECT_TRUE(same_bits(plain.gradients[i], again.gradients[i])) << i;
    }
  }
}

TEST_F(Checkpoint, KeepsOnlyItsInputUntilBackward) {
  const Tensor x = parameter(test::randn({1 << 16}, 1, device_));
  const Tensor w = parameter(test::randn({1 << 16}, 2, device_));
  const auto deep = [&w](const Tensor& in, bool) {
    Tensor h = in;
    for (int i = 0; i < 8; ++i) h = times(h, w);
    return h;
  };
  const int64_t before = device_->memory().in_use_bytes;
  const Tensor y = checkpoint(deep, x);
  EXPECT_EQ(device_->memory().in_use_bytes - before, y.size_bytes());
}

TEST_F(Checkpoint, TellsTheSecondRunFromTheFirst) {
  std::vector<bool> runs;
  const Tensor x = parameter(test::randn({4}, 1, device_));
  const Tensor y = checkpoint(
      [&](const Tensor& in, bool again) {
        runs.push_back(again);
        return times(in, in);
      },
      x);
  EXPECT_EQ(runs, (std::vector<bool>{false}));
  backward(y, test::randn({4}, 2, device_));
  EXPECT_EQ(runs, (std::vector<bool>{false, true}));
}

TEST_F(Checkpoint, InACheckpointGivesTheSameBits) {
  const Result plain = run(false, true);
  Tensor x = parameter(test::randn({64}, 1, device_));
  const auto inner = [this](int i) {
    return [this, i](const Tensor& in, bool) { return block(in, i); };
  };
  const Tensor y = checkpoint(
      [&](const Tensor& in, bool) {
        Tensor h = in;
        for (int i = 0; i < kLayers; ++i) h = checkpoint(inner(i), h);
        return h;
      },
      x);
  backward(y, test::randn({64}, 2, device_));
  for (size_t i = 0; i < kLayers; ++i) {
    EXPECT_TRUE(same_bits(gradient(weights_[i]), plain.gradients[i])) << i;
  }
  EXPECT_TRUE(same_bits(gradient(x), plain.gradients.back()));
}

TEST_F(Checkpoint, UnderNoGradIsAPlainCall) {
  const NoGrad no_grad;
  const Tensor x = parameter(test::randn({4}, 1, device_));
  EXPECT_EQ(checkpoint([](const Tensor& in, bool) { return times(in, in); }, x).node(), nullptr);
}

TEST_F(Checkpoint, ThatThrowsWhenRepeatedLeavesTheTapeUsable) {
  const Tensor x = parameter(test::randn({4}, 1, device_));
  const Tensor y = checkpoint(
      [](const Tensor& in, bool again) {
        if (again) throw Error("no more");
        return times(in, in);
      },
      x);
  EXPECT_THROW(backward(y, test::randn({4}, 2, device_)), Error);
  EXPECT_TRUE(recording({x}));
  const NoGrad no_grad;
  EXPECT_FALSE(recording({x}));
}

}  // namespace
}  // namespace corral::autograd
