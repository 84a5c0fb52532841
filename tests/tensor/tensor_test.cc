#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "support/tensors.h"

namespace corral {
namespace {

using test::test_device;

Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0f);
  return Tensor::from(values, shape, test_device());
}

TEST(Tensor, ADefaultMadeOneIsEmpty) {
  const Tensor x;
  EXPECT_FALSE(x.defined());
  EXPECT_EQ(x.numel(), 0);
  EXPECT_THROW(x.data<float>(), Error);
}

TEST(Tensor, FromNeedsAsManyValuesAsTheShape) {
  const std::vector<float> values = {1, 2, 3};
  EXPECT_THROW(Tensor::from(values, {4}, test_device()), ShapeError);
  EXPECT_EQ(Tensor::from(values, {3}, test_device()).values<float>()[2], 3.0f);
}

TEST(Tensor, ZerosAreZeroAlsoInReusedMemory) {
  const DevicePtr device = test_device();
  { test::randn({1 << 20}, 1, device); }
  const Tensor zeros = Tensor::zeros({1 << 20}, DType::kF32, device);
  for (const float v : zeros.values<float>()) ASSERT_EQ(v, 0.0f);
}

TEST(Tensor, AccessWithAnotherTypeIsAnError) {
  const DevicePtr device = test_device();
  const Tensor x = Tensor::zeros({2}, DType::kF32, device);
  EXPECT_THROW(x.data<uint16_t>(), Error);
  EXPECT_THROW(x.data<int32_t>(), Error);
  EXPECT_NO_THROW(x.data<std::byte>());
  EXPECT_NO_THROW(Tensor::zeros({2}, DType::kF16, device).data<uint16_t>());
  EXPECT_NO_THROW(Tensor::zeros({2}, DType::kBF16, device).data<uint16_t>());
  EXPECT_NO_THROW(Tensor::zeros({2}, DType::kI64, device).data<int64_t>());
}

TEST(TensorView, SharesMemoryUnderAnotherShape) {
  Tensor x = counting({2, 6});
  const Tensor y = x.view({3, 4});
  EXPECT_EQ(y.shape(), (Shape{3, 4}));
  x.mutable_data<float>()[5] = 50;
  EXPECT_EQ(y.data<float>()[5], 50.0f);
  EXPECT_FALSE(x.sole_owner());
  EXPECT_THROW(x.view({3, 5}), ShapeError);
}

TEST(TensorView, OfATemporaryTakesItsMemoryAlong) {
  Tensor x = counting({2, 6});
  const float* memory = x.data<float>();
  const Tensor y = std::move(x).view({3, 4});
  EXPECT_EQ(y.shape(), (Shape{3, 4}));
  EXPECT_EQ(y.data<float>(), memory);
  EXPECT_TRUE(y.sole_owner());
  EXPECT_THROW(counting({2, 6}).view({3, 5}), ShapeError);
}

TEST(TensorMemory, BelongsToWhoeverIsLeft) {
  Tensor x = counting({3});
  EXPECT_TRUE(x.sole_owner());
  {
    const Tensor y = x;
    EXPECT_FALSE(x.sole_owner());
    EXPECT_FALSE(y.sole_owner());
  }
  EXPECT_TRUE(x.sole_owner());
  Tensor y = std::move(x);
  EXPECT_TRUE(y.sole_owner());
  EXPECT_FALSE(x.sole_owner());  // NOLINT(bugprone-use-after-move): it has none
  x = y;
  y = Tensor();
  EXPECT_TRUE(x.sole_owner());
  EXPECT_EQ(x.data<float>()[2], 2.0f);
}

TEST(TensorMemory, IsAlignedAndGivenBackAtAnySize) {
  const DevicePtr device = test_device();
  for (const int64_t bytes : {0, 1, 64, 4031, 4032, 4033, 4096, 100'000}) {
    const int64_t before = device->memory().in_use_bytes;
    {
      Tensor x({bytes}, DType::kU8, device);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(x.data<uint8_t>()) % 64, 0U) << bytes;
      std::memset(x.mutable_data<uint8_t>(), 1, static_cast<size_t>(bytes));
      EXPECT_GE(device->memory().in_use_bytes, before + bytes);
    }
    EXPECT_EQ(device->memory().in_use_bytes, before) << bytes;
  }
}

TEST(TensorRows, AreAWindowOfWholeRows) {
  const Tensor x = counting({4, 3});
  const Tensor rows = x.rows(1, 3);
  EXPECT_EQ(rows.shape(), (Shape{2, 3}));
  EXPECT_EQ(rows.data<float>(), x.data<float>() + 3);
  EXPECT_EQ(rows.rows(1, 2).data<float>()[0], 6.0f);
  EXPECT_EQ(x.rows(4, 4).numel(), 0);
  EXPECT_THROW(x.rows(2, 5), ShapeError);
  EXPECT_THROW(x.rows(-1, 2), ShapeError);
  EXPECT_THROW(x.rows(3, 2), ShapeError);
  EXPECT_THROW(counting({}).rows(0, 0), ShapeError);
}

TEST(TensorRows, OfBlocksAreWholeBlocks) {
  const Tensor x = Tensor::zeros({4, 64}, DType::kQ8_0, test_device());
  EXPECT_EQ(x.size_bytes(), 4 * 68);
  EXPECT_EQ(x.rows(2, 3).data<std::byte>(), x.data<std::byte>() + 2 * 68);
}

TEST(TensorClone, IsACopy) {
  Tensor x = counting({3});
  const Tensor y = x.clone();
  x.mutable_data<float>()[0] = 9;
  EXPECT_EQ(y.data<float>()[0], 0.0f);
  EXPECT_TRUE(y.sole_owner());
}

TEST(TensorBorrowed, IsReadOnlyAndKeepsItsOwnerAlive) {
  auto owner = std::make_shared<std::array<float, 4>>(std::array<float, 4>{1, 2, 3, 4});
  const std::weak_ptr<std::array<float, 4>> watch = owner;
  {
    const auto bytes = std::as_bytes(std::span<const float>(*owner));
    Tensor x(Storage::borrow(test_device(), bytes, owner), 8, {2}, DType::kF32);
    owner.reset();
    EXPECT_FALSE(watch.expired());
    EXPECT_EQ(x.data<float>()[0], 3.0f);
    EXPECT_THROW(x.mutable_data<float>(), Error);
    EXPECT_FALSE(x.sole_owner());
    EXPECT_TRUE(x.clone().sole_owner());
  }
  EXPECT_TRUE(watch.expired());
}

TEST(TensorBorrowed, NeedsAKeeper) {
  const std::array<std::byte, 4> bytes{};
  EXPECT_THROW(Storage::borrow(test_device(), bytes, nullptr), Error);
}

TEST(TensorWindow, ThatDoesNotFitItsMemoryIsRefused) {
  const auto storage = Storage::own(test_device(), 64);
  EXPECT_NO_THROW(Tensor(storage, 32, {8}, DType::kF32));
  EXPECT_THROW(Tensor(storage, 36, {8}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor(storage, -4, {1}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor(storage, 65, {0}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor(storage, 0, {INT64_MAX}, DType::kF32), ShapeError);
}

TEST(TensorToF32, WidensHalvesAndKeepsFloats) {
  const Tensor x = test::randn({1000}, 1);
  EXPECT_EQ(to_f32(x).data<float>(), x.data<float>());
  const Tensor half = test::to_dtype(x, DType::kF16);
  const Tensor brain = test::to_dtype(x, DType::kBF16);
  const Tensor from_half = to_f32(half);
  const Tensor from_brain = to_f32(brain);
  for (size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(from_half.values<float>()[i], f16_to_f32(half.values<uint16_t>()[i]));
    EXPECT_EQ(from_brain.values<float>()[i], bf16_to_f32(brain.values<uint16_t>()[i]));
  }
  EXPECT_THROW(to_f32(Tensor::zeros({2}, DType::kI32, test_device())), NotSupported);
}

}  // namespace
}  // namespace corral
