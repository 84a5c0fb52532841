#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "quant/coded.h"
#include "quant/dense.h"
#include "support/tensors.h"

namespace corral::quant {
namespace {

using test::randn;
using test::same_bits;
using test::test_device;

// The definition: sign, exponent, mantissa.
double f8_by_definition(int code) {
  const double sign = (code & 128) != 0 ? -1 : 1;
  const int exponent = (code >> 3) & 15;
  const int mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return NAN;
  if (exponent == 0) return sign * mantissa / 8.0 * std::pow(2.0, -6);
  return sign * (1 + mantissa / 8.0) * std::pow(2.0, exponent - 7);
}

TEST(F8E4M3, All256CodesAreTheDefinitionsAndComeBack) {
  for (int code = 0; code < 256; ++code) {
    const float value = f8_e4m3_to_f32(static_cast<uint8_t>(code));
    if ((code & 127) == 127) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_EQ(f32_to_f8_e4m3(value) & 127, 127);
      continue;
    }
    EXPECT_EQ(static_cast<double>(value), f8_by_definition(code)) << code;
    EXPECT_EQ(std::signbit(value), code >= 128) << code;
    EXPECT_EQ(f32_to_f8_e4m3(value), code);
  }
}

TEST(F8E4M3, RoundsToTheNearestAndTiesToEven) {
  for (int code = 0; code < 126; ++code) {
    const float low = f8_e4m3_to_f32(static_cast<uint8_t>(code));
    const float high = f8_e4m3_to_f32(static_cast<uint8_t>(code + 1));
    const float middle = (low + high) / 2;
    EXPECT_EQ(f32_to_f8_e4m3(middle), code + code % 2) << code;
    EXPECT_EQ(f32_to_f8_e4m3(std::nextafter(middle, 0.0f)), code) << code;
    EXPECT_EQ(f32_to_f8_e4m3(std::nextafter(middle, 1e9f)), code + 1) << code;
    EXPECT_EQ(f32_to_f8_e4m3(-middle), 128 + code + code % 2) << code;
  }
  EXPECT_EQ(f32_to_f8_e4m3(1e30f), 126);
  EXPECT_EQ(f32_to_f8_e4m3(-INFINITY), 254);
}

class Coded : public testing::TestWithParam<bool> {
 protected:
  LinearWeight encode(const LinearWeight& w) const {
    return GetParam() ? encode_int4(w) : encode_f8(w);
  }
  // The coded weight as a float one.
  static LinearWeight decoded(const LinearWeight& w) {
    Tensor all({w.count, w.out_features, w.in_features}, DType::kF32, w.data.device());
    for (int64_t e = 0; e < w.count; ++e) {
      decode_rows(w, e, 0, w.out_features,
                  all.mutable_data<float>() + e * w.out_features * w.in_features);
    }
    return LinearWeight::out_in(all);
  }
};

TEST_P(Coded, ValuesAreWithinHalfAStep) {
  const Tensor x = randn({3, 7, 256}, 1);
  const LinearWeight w = encode(LinearWeight::out_in(x));
  const Tensor y = decoded(w).data;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const float value = x.data<float>()[i];
    const auto groups = w.scales.dim(2);
    const float scale = w.scales.data<float>()[i / (256 / groups)];
    // int4 clamps the largest positive value from 8 to 7 steps; FP8 keeps four significant bits.
    const float bound =
        GetParam() ? scale * 1.0001f : std::max(std::abs(value) / 16, scale * 0x1p-10f) * 1.0001f;
    EXPECT_LE(std::abs(y.data<float>()[i] - value), bound) << i;
  }
}

TEST_P(Coded, ProductsAreThoseOfTheDecodedWeight) {
  const LinearWeight w = encode(LinearWeight::out_in(randn({3, 70, 256}, 2)));
  const LinearWeight plain = decoded(w);
  const Tensor x = randn({9, 256}, 3);
  const std::vector<int64_t> offsets = {0, 4, 4, 9};
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    EXPECT_TRUE(same_bits(ops::grouped_linear(x, w, offsets, precision),
                          ops::grouped_linear(x, plain, offsets, precision)));
  }
  const LinearWeight one = encode(LinearWeight::out_in(randn({70, 256}, 4)));
  EXPECT_TRUE(same_bits(ops::linear(x, one, Precision::kF32),
                        ops::linear(x, decoded(one), Precision::kF32)));
  EXPECT_TRUE(same_bits(dense_f32(w, 2), dense_f32(plain, 2)));
}

TEST_P(Coded, ARowsBitsDependOnNothingElse) {
  const LinearWeight w = encode(LinearWeight::out_in(randn({90, 4096}, 5)));
  const Tensor x = randn({33, 4096}, 6);
  const Tensor all = ops::linear(x, w, Precision::kF32);
  for (const int threads : {1, 3}) {
    const DevicePtr device = test_device(simd::detect_isa(), threads);
    for (const int64_t row : {0, 17, 32}) {
      const Tensor one = test::copy_to(x.rows(row, row + 1), device);
      EXPECT_TRUE(same_bits(ops::linear(one, w, Precision::kF32), all.rows(row, row + 1)));
    }
  }
}

TEST_P(Coded, RowsOfZerosStayZero) {
  const LinearWeight w =
      encode(LinearWeight::out_in(Tensor::zeros({2, 128}, DType::kF32, test_device())));
  for (const float value : decoded(w).data.values<float>()) EXPECT_EQ(value, 0.0f);
}

TEST_P(Coded, WhatDoesNotFitIsRefused) {
  LinearWeight w = encode(LinearWeight::out_in(randn({2, 128}, 7)));
  const Tensor x = randn({1, 128}, 8);
  w.out_features = 3;
  EXPECT_THROW(ops::linear(x, w, Precision::kF32), ShapeError);
  w.scales = randn({1, 3, 1}, 1);
  EXPECT_THROW(ops::linear(x, w, Precision::kF32), ShapeError);
  Tensor bad = randn({2, 128}, 9);
  bad.mutable_data<float>()[5] = INFINITY;
  EXPECT_THROW(encode(LinearWeight::out_in(bad)), Error);
}

INSTANTIATE_TEST_SUITE_P(Codes, Coded, testing::Values(true, false),
                         [](const auto& param) { return param.param ? "Int4" : "Fp8"; });

TEST(Int4, GroupsAreOf128WhereTheRowAllowsIt) {
  EXPECT_EQ(int4_group(5120), 128);
  EXPECT_EQ(int4_group(8192), 128);
  EXPECT_EQ(int4_group(96), 32);
  EXPECT_EQ(encode_int4(LinearWeight::out_in(randn({2, 256}, 1))).scales.dim(2), 2);
}

TEST(F8, StackedInputByOutputIsReadAsItLies) {
  // Codes [E, K, N] as transformers stores fused experts.
  const DevicePtr device = test_device();
  Tensor codes({2, 3, 4}, DType::kU8, device);
  for (int64_t i = 0; i < 24; ++i) codes.mutable_data<uint8_t>()[i] = static_cast<uint8_t>(i * 5);
  LinearWeight w = LinearWeight::in_out(codes, 1, 2);
  w.coding = Coding::kF8E4M3;
  w.scales = randn({2, 2, 1}, 1);
  std::vector<float> row(3);
  decode_rows(w, 1, 1, 1, row.data());
  for (int64_t k = 0; k < 3; ++k) {
    EXPECT_EQ(
        row[static_cast<size_t>(k)],
        f8_e4m3_to_f32(static_cast<uint8_t>((12 + k * 4 + 2) * 5)) * w.scales.data<float>()[3]);
  }
}

}  // namespace
}  // namespace corral::quant
