// Ops whose output may take the memory of an operand that the caller hands over: they do so when
// nobody can notice, and never otherwise.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "ops/add/add.h"
#include "ops/attention_temperature/attention_temperature.h"
#include "ops/combine/combine.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/silu_mul/silu_mul.h"
#include "support/op_case.h"

namespace corral::ops {
namespace {

using test::randn;
using test::same_bits;

// A head is no whole number of vectors, so that kernels come to their last elements.
const Shape kShape = {3, 2, 22};

Tensor operand(const DevicePtr& device) { return randn(kShape, 1, device); }

struct HandedOver {
  std::string name;
  /// other: a second operand, if the op has one.
  std::function<Tensor(Tensor x, const Tensor& other)> op;
  Shape other = {};
};

std::vector<HandedOver> ops_under_test() {
  const std::vector<int64_t> positions = {0, 5, 3000};
  return {
      {"add", [](Tensor x, const Tensor& other) { return add(std::move(x), other); }, kShape},
      {"combine",
       [](Tensor x, const Tensor& other) {
         const Routing routing = make_routing({0, 1, 0, 0, 1, 1}, 6, 2, 1);
         return combine(std::move(x).view({6, 22}), other, routing).view(kShape);
       },
       {6, 22}},
      {"silu_mul", [](Tensor x, const Tensor& other) { return silu_mul(std::move(x), other); },
       kShape},
      {"rms_norm",
       [](Tensor x, const Tensor& other) { return rms_norm(std::move(x), &other, 1e-5f); },
       {22}},
      {"qk_norm", [](Tensor x, const Tensor&) { return rms_norm(std::move(x), nullptr, 1e-5f); }},
      {"rope",
       [=](Tensor x, const Tensor&) {
         return rope(std::move(x), positions, rope_frequencies(22, 10000), 0);
       }},
      {"rope_by_rows",
       [](Tensor x, const Tensor&) {
         return rope(std::move(x), std::vector<int64_t>{0, 4, 2},
                     std::make_shared<RopeTable>(RopeTable{5, std::vector<float>(5 * 44, 0.5f)}));
       }},
      {"attention_temperature",
       [=](Tensor x, const Tensor&) {
         return attention_temperature(std::move(x), positions, 0.1f, 4);
       }},
  };
}

class OperandHandedOver : public ::testing::TestWithParam<HandedOver> {
 protected:
  Tensor op(Tensor x) const { return GetParam().op(std::move(x), other_); }
  bool has_other() const { return GetParam().other.rank() > 0; }

  DevicePtr device_ = test::test_device();
  Tensor other_ = randn(GetParam().other, 2, device_);
  Tensor x_ = operand(device_);
  Tensor expected_ = op(x_);
};

TEST_P(OperandHandedOver, GivesItsMemoryToTheOutput) {
  EXPECT_TRUE(same_bits(x_, operand(device_)));  // the call above left its operand alone
  const float* memory = x_.data<float>();
  const Tensor y = op(std::move(x_));
  EXPECT_EQ(y.data<float>(), memory);
  EXPECT_TRUE(same_bits(y, expected_));
}

TEST_P(OperandHandedOver, IsLeftAloneWhileAnotherTensorSharesItsMemory) {
  const std::vector<std::function<Tensor(const Tensor&)>> sharers = {
      [](const Tensor& x) { return x; },
      [](const Tensor& x) { return x.view({kShape.numel()}); },
      [](const Tensor& x) { return x.rows(1, 2); },
      [](const Tensor& x) { return x.detach(); },
  };
  for (const auto& share : sharers) {
    Tensor x = operand(device_);
    const Tensor shared = share(x);
    const Tensor before = shared.clone();
    EXPECT_TRUE(same_bits(op(std::move(x)), expected_));
    EXPECT_TRUE(same_bits(shared, before));
  }
}

TEST_P(OperandHandedOver, AsAViewWithoutItsTensorGivesItsMemoryToo) {
  const float* memory = x_.data<float>();
  const Tensor y = op(std::move(x_).view({6, 22}).view(kShape));
  EXPECT_EQ(y.data<float>(), memory);
  EXPECT_TRUE(same_bits(y, expected_));
}

TEST_P(OperandHandedOver, IsNotWrittenWhenItsMemoryIsBorrowed) {
  auto owner = std::make_shared<Tensor>(operand(device_));
  Tensor x(Storage::borrow(device_, std::as_bytes(owner->values<float>()), owner), 0, kShape,
           DType::kF32);
  EXPECT_TRUE(same_bits(op(std::move(x)), expected_));
  EXPECT_TRUE(same_bits(*owner, operand(device_)));
}

TEST_P(OperandHandedOver, IsNotWrittenWhenItIsALeaf) {
  Tensor x = autograd::parameter(operand(device_));
  const float* memory = x.data<float>();
  const autograd::NoGrad no_grad;
  const Tensor y = op(std::move(x));
  EXPECT_NE(y.data<float>(), memory);
  EXPECT_TRUE(same_bits(y, expected_));
}

// What the tape keeps of the operand must be what it was.
TEST_P(OperandHandedOver, GivesTheGradientsOfOneThatIsKept) {
  const Tensor dy = randn(kShape, 3, device_);
  for (const bool x_is_leaf : {true, false}) {
    if (!x_is_leaf && !has_other()) continue;
    std::vector<Tensor> gradients;
    for (const bool handed_over : {true, false}) {
      const Tensor leaf = x_is_leaf ? autograd::parameter(operand(device_)) : Tensor();
      // Not the leaf's own memory, so that nobody else has it.
      const Tensor zero = Tensor::zeros(kShape, DType::kF32, device_);
      Tensor x = x_is_leaf ? add(leaf, zero) : operand(device_);
      other_ = has_other() ? autograd::parameter(randn(GetParam().other, 2, device_)) : other_;
      const Tensor kept = handed_over ? Tensor() : x;
      const Tensor y = handed_over ? op(std::move(x)) : op(x);
      EXPECT_TRUE(same_bits(y, expected_));
      autograd::backward(y, dy);
      if (x_is_leaf) gradients.push_back(autograd::gradient(leaf));
      if (has_other()) gradients.push_back(autograd::gradient(other_));
    }
    for (size_t i = 0; i < gradients.size() / 2; ++i) {
      EXPECT_TRUE(same_bits(gradients[i], gradients[gradients.size() / 2 + i]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, OperandHandedOver, ::testing::ValuesIn(ops_under_test()),
                         [](const auto& op) { return op.param.name; });

}  // namespace
}  // namespace corral::ops
