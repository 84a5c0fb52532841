#include "tensor/device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "support/tensors.h"

namespace corral {
namespace {

TEST(DeviceMemory, IsAligned) {
  const DevicePtr device = test::test_device();
  for (const int64_t bytes :
       {int64_t{0}, int64_t{1}, int64_t{100}, int64_t{5000}, int64_t{8} << 20}) {
    std::byte* memory = device->allocate(bytes);
    const auto address = reinterpret_cast<uintptr_t>(memory);
    EXPECT_EQ(address % 64, 0U) << bytes;
    EXPECT_EQ(address % (bytes >= 4 << 20 ? 2 << 20 : 1), 0U) << bytes;
    std::memset(memory, 1, static_cast<size_t>(bytes));
    device->release(memory, bytes);
  }
}

TEST(DeviceMemory, IsReusedForTheSameAndForNearlyTheSameSize) {
  const DevicePtr device = test::test_device();
  std::byte* first = device->allocate(100'000);
  device->release(first, 100'000);
  EXPECT_EQ(device->allocate(100'001), first);
  device->release(first, 100'001);
  EXPECT_EQ(device->memory().system_allocations, 1);
}

TEST(DeviceMemory, LivingBlocksDoNotOverlap) {
  const DevicePtr device = test::test_device();
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 20; ++i) {
    blocks.push_back(device->allocate(1000));
    std::memset(blocks.back(), i, 1000);
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(blocks[static_cast<size_t>(i)][0], static_cast<std::byte>(i));
    EXPECT_EQ(blocks[static_cast<size_t>(i)][999], static_cast<std::byte>(i));
    device->release(blocks[static_cast<size_t>(i)], 1000);
  }
}

TEST(DeviceMemory, CountsWhatIsHandedOutKeptAndAskedFor) {
  const DevicePtr device = test::test_device();
  {
    const Tensor a({1024}, DType::kF32, device);
    const Tensor b({2048}, DType::kF32, device);
    EXPECT_EQ(device->memory().in_use_bytes, 3 * 4096);
  }
  const Tensor c({1024}, DType::kF32, device);
  EXPECT_EQ(device->memory().in_use_bytes, 4096);
  EXPECT_EQ(device->memory().peak_bytes, 3 * 4096);
  EXPECT_EQ(device->memory().held_bytes, 3 * 4096);
  EXPECT_EQ(device->memory().system_allocations, 2);
  device->trim();
  EXPECT_EQ(device->memory().held_bytes, 4096);
}

TEST(DeviceMemory, ARequestBeyondTheMachineIsAnErrorAndLeavesTheCountsAlone) {
  const DevicePtr device = test::test_device();
  EXPECT_THROW(device->allocate(INT64_MAX), Error);
  EXPECT_THROW(device->allocate((int64_t{1} << 40) + 1), Error);
  EXPECT_EQ(device->memory().in_use_bytes, 0);
  EXPECT_EQ(device->memory().peak_bytes, 0);
  EXPECT_EQ(device->memory().system_allocations, 0);
}

TEST(DeviceMemory, OutlivesTheLastHandleWhileATensorUsesIt) {
  Tensor x;
  {
    const DevicePtr device = test::test_device();
    x = Tensor::zeros({3}, DType::kF32, device);
  }
  EXPECT_EQ(x.data<float>()[2], 0.0f);
}

TEST(DeviceOptions, ThreadsAreThoseAskedFor) {
  EXPECT_EQ(test::test_device(simd::Isa::kPortable, 3)->threads().size(), 3);
  EXPECT_THROW(test::test_device(simd::Isa::kPortable, 0), UsageError);
}

TEST(DeviceOptions, AnInstructionSetThatTheProcessorLacksIsRefused) {
  const std::vector<simd::Isa> isas = simd::machine_isas();
  for (const simd::Isa isa : {simd::Isa::kPortable, simd::Isa::kAvx2, simd::Isa::kAvx512,
                              simd::Isa::kAmx, simd::Isa::kDotprod}) {
    if (std::find(isas.begin(), isas.end(), isa) != isas.end()) {
      EXPECT_EQ(test::test_device(isa)->isa(), isa);
    } else {
      EXPECT_THROW(test::test_device(isa), UsageError);
    }
  }
}

}  // namespace
}  // namespace corral
