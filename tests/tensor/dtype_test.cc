#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace corral {
namespace {

// The value of a half from its definition, in double.
double f16_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(DTypeF16, EveryPatternHasTheValueOfItsDefinition) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double wanted = f16_value(half);
    const auto got = static_cast<double>(f16_to_f32(half));
    if (std::isnan(wanted)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
    } else {
      ASSERT_EQ(got, wanted) << bits;
      ASSERT_EQ(std::signbit(got), std::signbit(wanted)) << bits;
    }
  }
}

TEST(DTypeF16, EveryPatternSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value)))) << bits;
    } else {
      ASSERT_EQ(f32_to_f16(value), half);
    }
  }
}

TEST(DTypeF16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7C00; ++bits) {  // each positive value and its neighbour above
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const double above = bits == 0x7BFF ? 65536.0 : f16_value(high);
    const auto middle = static_cast<float>((f16_value(low) + above) / 2);
    const uint16_t even = bits % 2 == 0 ? low : high;
    ASSERT_EQ(f32_to_f16(middle), even) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, INFINITY)), high) << bits;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << bits;
  }
}

TEST(DTypeBf16, EveryPatternIsTheUpperHalfOfItsFloat) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = bf16_to_f32(half);
    ASSERT_EQ(std::bit_cast<uint32_t>(value), bits << 16);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(value)))) << bits;
    } else {
      ASSERT_EQ(f32_to_bf16(value), half);
    }
  }
}

TEST(DTypeBf16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7F80; ++bits) {
    const uint32_t middle = bits << 16 | 0x8000;
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle)), even) << bits;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle - 1)), bits) << bits;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle + 1)), bits + 1) << bits;
  }
}

TEST(DTypeBf16, ANanWithOnlyLowBitsStaysANan) {
  const float nan = std::bit_cast<float>(0x7F800001u);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
}

TEST(DType, NamesReadBack) {
  for (const DType dtype : all_dtypes()) {
    EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
  }
  EXPECT_THROW(parse_dtype("f64"), UsageError);
}

TEST(DType, BytesCountWholeBlocks) {
  EXPECT_EQ(bytes_of(DType::kF32, 3), 12);
  EXPECT_EQ(bytes_of(DType::kBF16, 3), 6);
  EXPECT_EQ(bytes_of(DType::kQ8_0, 64), 68);
  EXPECT_THROW(bytes_of(DType::kQ8_0, 33), ShapeError);
  EXPECT_THROW(bytes_of(DType::kF32, -1), ShapeError);
}

TEST(DType, BytesBeyondMemoryAreRefusedInsteadOfWrappingAround) {
  EXPECT_THROW(bytes_of(DType::kF32, std::numeric_limits<int64_t>::max()), ShapeError);
  EXPECT_THROW(bytes_of(DType::kI64, int64_t{1} << 61), ShapeError);
  EXPECT_EQ(bytes_of(DType::kU8, std::numeric_limits<int64_t>::max()),
            std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace corral
