#include "io/convert_dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "quant/block_format.h"
#include "support/tensors.h"

namespace corral::io {
namespace {

using test::randn;
using test::same_bits;
using test::test_device;

TEST(Convert, SameTypeIsTheSameMemory) {
  const Tensor x = randn({3, 32}, 1);
  EXPECT_EQ(convert(x, DType::kF32).storage(), x.storage());
}

TEST(Convert, RoundsToNearestEven) {
  const DevicePtr device = test_device();
  // 1 + 2^-8 and 1 + 3 * 2^-8 lie in the middle of two bf16 values, the even ones are 1 and 1 +
  // 2^-6.
  const std::vector<float> values = {1.00390625f, 1.01171875f, -0.0f, 3.4e38f};
  const Tensor y = convert(Tensor::from(values, {4}, device), DType::kBF16);
  EXPECT_EQ(bf16_to_f32(y.data<uint16_t>()[0]), 1.0f);
  EXPECT_EQ(bf16_to_f32(y.data<uint16_t>()[1]), 1.015625f);
  EXPECT_TRUE(std::signbit(bf16_to_f32(y.data<uint16_t>()[2])));
  EXPECT_TRUE(std::isinf(bf16_to_f32(y.data<uint16_t>()[3])));
}

TEST(Convert, NarrowValuesSurviveTheWayThroughF32) {
  const DevicePtr device = test_device();
  // Every bit pattern of 16 bits, except that NaNs become quiet.
  Tensor x({65536}, DType::kF16, device);
  for (int64_t i = 0; i < x.numel(); ++i) x.mutable_data<uint16_t>()[i] = static_cast<uint16_t>(i);
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    Tensor narrow({65536}, dtype, device);
    std::copy_n(x.data<uint16_t>(), x.numel(), narrow.mutable_data<uint16_t>());
    const Tensor back = convert(convert(narrow, DType::kF32), dtype);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const uint16_t bits = narrow.data<uint16_t>()[i];
      const float value = dtype == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
      if (!std::isnan(value)) {
        ASSERT_EQ(back.data<uint16_t>()[i], bits);
      }
    }
  }
}

TEST(Convert, AgreesWithTheConversionOfSingleValues) {
  const DevicePtr device = test_device();
  // Bit patterns of all kinds: every exponent, NaNs of both kinds, infinities, subnormals.
  Tensor x({1 << 18}, DType::kF32, device);
  const Philox random(5);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const auto bits = static_cast<uint32_t>(random.bits(static_cast<uint64_t>(i)));
    x.mutable_data<float>()[i] = std::bit_cast<float>(i % 8 == 0 ? bits | 0x7F800000u : bits);
  }
  const Tensor bf16 = convert(x, DType::kBF16);
  const Tensor f16 = convert(x, DType::kF16);
  const Tensor wide = convert(bf16, DType::kF32);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float value = x.data<float>()[i];
    ASSERT_EQ(bf16.data<uint16_t>()[i], f32_to_bf16(value));
    ASSERT_EQ(f16.data<uint16_t>()[i], f32_to_f16(value));
    ASSERT_EQ(std::bit_cast<uint32_t>(wide.data<float>()[i]),
              std::bit_cast<uint32_t>(bf16_to_f32(bf16.data<uint16_t>()[i])));
  }
}

TEST(Convert, BlocksKeepValuesWithinHalfAStep) {
  const Tensor x = randn({5, 4096 + 32}, 3);
  const Tensor blocks = convert(x, DType::kQ8_0);
  EXPECT_EQ(blocks.size_bytes(), x.numel() / 32 * 34);
  const Tensor back = convert(blocks, DType::kF32);
  for (int64_t block = 0; block < x.numel(); block += 32) {
    float largest = 0;
    for (int64_t i = block; i < block + 32; ++i) {
      largest = std::max(largest, std::abs(x.data<float>()[i]));
    }
    // Half a step, and 127 times the rounding of the scale to f16.
    const float bound = largest / 127.0f * 0.5f + largest / 2048.0f;
    for (int64_t i = block; i < block + 32; ++i) {
      ASSERT_LE(std::abs(x.data<float>()[i] - back.data<float>()[i]), bound);
    }
  }
}

TEST(Convert, TheNumberOfThreadsDoesNotMatter) {
  const DevicePtr one = test_device(simd::detect_isa(), 1);
  const DevicePtr five = test_device(simd::detect_isa(), 5);
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kQ8_0}) {
    const Tensor a = convert(randn({7, 32 * 1031}, 4, one), dtype);
    const Tensor b = convert(randn({7, 32 * 1031}, 4, five), dtype);
    EXPECT_TRUE(same_bits(a, b)) << dtype;
  }
}

TEST(Convert, ImportancesFollowTheColumnsWhateverTheThreads) {
  const Tensor x = randn({9, 5 * 256}, 4);
  Tensor importance = randn({5 * 256}, 5);
  for (int64_t i = 0; i < importance.numel(); ++i) {
    float& w = importance.mutable_data<float>()[i];
    w = w * w;
  }
  const auto& format = quant::block_format(DType::kQ4_K);
  std::vector<std::byte> wanted(static_cast<size_t>(bytes_of(DType::kQ4_K, x.numel())));
  for (int64_t row = 0; row < 9; ++row) {
    format.quantize(x.data<float>() + row * 1280, importance.data<float>(),
                    wanted.data() + row * bytes_of(DType::kQ4_K, 1280), 1280);
  }
  for (const int threads : {1, 5}) {
    std::vector<std::byte> got(wanted.size());
    convert_elements(DType::kF32, x.data<std::byte>(), DType::kQ4_K, got.data(), x.numel(),
                     test_device(simd::detect_isa(), threads)->threads(),
                     importance.values<float>());
    EXPECT_EQ(got, wanted);
  }
  EXPECT_THROW(convert_elements(DType::kF32, x.data<std::byte>(), DType::kQ4_K, wanted.data(), 256,
                                test_device()->threads(), importance.values<float>()),
               ShapeError);
}

TEST(Convert, EmptyTensorsStayEmpty) {
  const Tensor y = convert(Tensor({0, 32}, DType::kF32, test_device()), DType::kQ8_0);
  EXPECT_EQ(y.shape(), (Shape{0, 32}));
  EXPECT_EQ(y.size_bytes(), 0);
}

TEST(Convert, RefusesWhatHasNoConversion) {
  const DevicePtr device = test_device();
  EXPECT_THROW(convert(Tensor({2}, DType::kI32, device), DType::kF32), NotSupported);
  EXPECT_THROW(convert(randn({2}, 1), DType::kI64), NotSupported);
  // 64 values, but no row is a whole block.
  EXPECT_THROW(convert(randn({4, 16}, 1), DType::kQ8_0), ShapeError);
  EXPECT_THROW(convert(randn({}, 1), DType::kQ8_0), ShapeError);
  const std::vector<float> values(32, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THROW(convert(Tensor::from(values, {32}, device), DType::kQ8_0), Error);
}

}  // namespace
}  // namespace corral::io
