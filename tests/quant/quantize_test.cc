#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "quant/block_format.h"
#include "quant/iq4.h"
#include "quant/scale_search_kernel.h"
#include "support/blocks.h"

namespace corral::quant {
namespace {

using Values = std::vector<float>;

constexpr int64_t kMany = int64_t{256} * 64;

Values normals(int64_t n, uint64_t seed) {
  const Tensor x = test::randn({n}, seed);
  return {x.data<float>(), x.data<float>() + n};
}

Values round_trip(DType dtype, const Values& x, const float* importance = nullptr) {
  const BlockFormat& format = block_format(dtype);
  const auto n = std::ssize(x);
  std::vector<std::byte> blocks(static_cast<size_t>(bytes_of(dtype, n)));
  format.quantize(x.data(), importance, blocks.data(), n);
  Values y(x.size());
  format.dequantize(blocks.data(), y.data(), n);
  return y;
}

double squared_error(const Values& x, const Values& y, const float* w = nullptr) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += d * d * (w != nullptr ? static_cast<double>(w[i]) : 1.0);
  }
  return sum;
}

/// What a type has to beat: rounding to even steps between the extremes of a group, the scales kept
/// exactly. Symmetric types put the value of the largest magnitude at the lower end.
struct Baseline {
  DType dtype;
  int64_t group;
  int codes;
  bool offset;
};

Values rounded_simply(const Values& x, const Baseline& b) {
  Values y(x.size());
  for (size_t at = 0; at < x.size(); at += static_cast<size_t>(b.group)) {
    float lowest = 0;
    float highest = 0;
    float extreme = 0;
    for (size_t i = at; i < at + static_cast<size_t>(b.group); ++i) {
      lowest = std::min(lowest, x[i]);
      highest = std::max(highest, x[i]);
      if (std::abs(x[i]) > std::abs(extreme)) extreme = x[i];
    }
    const auto half = static_cast<float>(b.codes / 2);
    const auto top = static_cast<float>(b.codes - 1);
    const float d = b.offset ? (highest - lowest) / top : extreme / -half;
    for (size_t i = at; i < at + static_cast<size_t>(b.group); ++i) {
      y[i] = b.offset ? lowest + d * std::round((x[i] - lowest) / d)
                      : d * std::clamp(std::round(x[i] / d), -half, half - 1);
    }
  }
  return y;
}

class Quantizer : public ::testing::TestWithParam<Baseline> {};

TEST_P(Quantizer, LosesLessThanPlainRounding) {
  const Values x = normals(kMany, 1);
  EXPECT_LT(squared_error(x, round_trip(GetParam().dtype, x)),
            0.95 * squared_error(x, rounded_simply(x, GetParam())));
}

TEST_P(Quantizer, KeepsWhatMattersBetterWhenToldWhatDoes) {
  const Values x = normals(kMany, 2);
  Values importance = normals(kMany, 3);
  for (float& w : importance) w = std::exp(2 * w);
  const double blind = squared_error(x, round_trip(GetParam().dtype, x), importance.data());
  const double told =
      squared_error(x, round_trip(GetParam().dtype, x, importance.data()), importance.data());
  EXPECT_LT(told, 0.95 * blind);
}

INSTANTIATE_TEST_SUITE_P(
    Types, Quantizer,
    ::testing::Values(Baseline{DType::kQ4_0, 32, 16, false}, Baseline{DType::kQ4_1, 32, 16, true},
                      Baseline{DType::kQ5_0, 32, 32, false}, Baseline{DType::kQ5_1, 32, 32, true},
                      Baseline{DType::kIQ4_NL, 32, 16, false}, Baseline{DType::kQ2_K, 16, 4, true},
                      Baseline{DType::kQ3_K, 16, 8, false}, Baseline{DType::kQ4_K, 32, 16, true},
                      Baseline{DType::kQ5_K, 32, 32, true}, Baseline{DType::kQ6_K, 16, 64, false},
                      Baseline{DType::kIQ4_XS, 32, 16, false}),
    [](const auto& type) { return std::string(dtype_name(type.param.dtype)); });

TEST(Mxfp4, ChoosesTheExponentWithTheSmallestError) {
  const Values x = normals(kMany, 1);
  const double chosen = squared_error(x, round_trip(DType::kMXFP4, x));
  // The rule of the specification: the exponent of the largest value, less two.
  double by_rule = 0;
  for (size_t at = 0; at < x.size(); at += 32) {
    float largest = 0;
    for (size_t i = at; i < at + 32; ++i) largest = std::max(largest, std::abs(x[i]));
    const float scale = std::ldexp(1.0f, std::ilogb(largest) - 2);
    for (size_t i = at; i < at + 32; ++i) {
      float best = INFINITY;
      for (const float v : {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f}) {
        best = std::min(best, std::abs(std::abs(x[i]) - v * scale));
      }
      by_rule += static_cast<double>(best) * static_cast<double>(best);
    }
  }
  EXPECT_LE(chosen, by_rule * 1.0001);
}

/// A block of values that the type can hold exactly: group 0 has the largest scale, every group all
/// codes between the extremes that fit into it.
Values representable(DType dtype, int64_t group, int lo, int hi, int largest, bool offset) {
  const int64_t n = std::max<int64_t>(block_elements(dtype), group);
  Values x;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t g = i / group;
    const auto within = static_cast<int>(i % group);
    const int span = hi - lo + 1;
    const int code = within == 1 ? hi : lo + within * 7 % span;
    const int scale =
        g == 0 ? largest : largest / 2 + (largest < 0 ? -1 : 1) * static_cast<int>(g % 7);
    const int shift = offset ? (g == 1 ? largest : static_cast<int>(g % 3) + 1) : 0;
    x.push_back(0x1.8p-9f * static_cast<float>(scale * code) -
                0x1.4p-10f * static_cast<float>(shift));
  }
  return x;
}

TEST(Quantize, WhatATypeCanHoldComesBackBitForBit) {
  const std::vector<std::pair<DType, Values>> cases = {
      {DType::kQ4_0, representable(DType::kQ4_0, 32, -8, 7, 1, false)},
      {DType::kQ4_1, representable(DType::kQ4_1, 32, 0, 15, 1, true)},
      {DType::kQ5_0, representable(DType::kQ5_0, 32, -16, 15, 1, false)},
      {DType::kQ5_1, representable(DType::kQ5_1, 32, 0, 31, 1, true)},
      {DType::kQ2_K, representable(DType::kQ2_K, 16, 0, 3, 15, true)},
      {DType::kQ3_K, representable(DType::kQ3_K, 16, -4, 3, -32, false)},
      {DType::kQ4_K, representable(DType::kQ4_K, 32, 0, 15, 63, true)},
      {DType::kQ5_K, representable(DType::kQ5_K, 32, 0, 31, 63, true)},
      {DType::kQ6_K, representable(DType::kQ6_K, 16, -32, 31, -128, false)}};
  for (const auto& [dtype, x] : cases) EXPECT_EQ(round_trip(dtype, x), x) << dtype;
  for (const DType dtype : {DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4}) {
    Values x;
    for (int64_t i = 0; i < block_elements(dtype); ++i) {
      const auto code = static_cast<size_t>(i % 16);
      constexpr std::array<float, 16> kFloats = {0, 1,  2,  3,  4,  6,  8,  12,
                                                 0, -1, -2, -3, -4, -6, -8, -12};
      x.push_back(0x1p-9f * (dtype == DType::kMXFP4 ? kFloats.at(code)
                                                    : static_cast<float>(kIq4Values.at(code))));
    }
    EXPECT_EQ(round_trip(dtype, x), x) << dtype;
  }
}

class AnyQuantizer : public ::testing::TestWithParam<DType> {
 protected:
  const int64_t n = block_elements(GetParam());
  Values x = normals(n, 5);

  std::string message() {
    try {
      round_trip(GetParam(), x);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_P(AnyQuantizer, RefusesWhatIsNotFiniteByName) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    x.back() = bad;
    EXPECT_THAT(message(), ::testing::HasSubstr("not finite"));
    EXPECT_THAT(message(), ::testing::StartsWith(std::string(dtype_name(GetParam()))));
  }
}

TEST_P(AnyQuantizer, HoldsEveryMagnitudeOrSaysThatItCannot) {
  for (const float size : {0.0f, 1e-45f, 1e-38f, 1e-10f, 1.0f, 3e4f, 3e38f}) {
    for (int64_t i = 0; i < n; ++i) {
      x[static_cast<size_t>(i)] = (i % 2 == 0 ? 1.0f : -1.0f) * size;
    }
    if (GetParam() != DType::kMXFP4 && size > 1e30f) {
      EXPECT_THAT(message(), ::testing::HasSubstr("as large as"));
      continue;
    }
    for (const float y : round_trip(GetParam(), x)) {
      // Scales in f16 end at 6e-8, and small ones have few bits.
      EXPECT_LE(std::abs(y), 1.2f * size) << size;
      if (size >= 1.0f) {
        EXPECT_GE(std::abs(y), 0.7f * size) << size;
      }
    }
  }
}

TEST_P(AnyQuantizer, TakesImportancesOfZeroAsEqual) {
  const Values nothing(x.size(), 0.0f);
  EXPECT_EQ(round_trip(GetParam(), x, nothing.data()), round_trip(GetParam(), x));
}

INSTANTIATE_TEST_SUITE_P(Types, AnyQuantizer, ::testing::ValuesIn(test::block_types()),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

TEST(Quantize, RefusesImportancesThatAreNone) {
  const Values x = normals(32, 1);
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Values importance(32, 1.0f);
    importance[7] = bad;
    EXPECT_THROW(round_trip(DType::kQ4_0, x, importance.data()), Error);
  }
}

TEST(ScaleSearch, HasTheSameBitsOnEveryInstructionSet) {
  const Values x = normals(kMostValues, 8);
  Values w = normals(kMostValues, 9);
  for (float& value : w) value = value * value;
  ScaleTask task{.x = x.data(), .w = w.data(), .n = kMostValues, .scale = {}, .offset = {}};
  for (int t = 0; t < kTrials; ++t) {
    task.scale[t] = t == 3 ? 0.0f : 0.05f * static_cast<float>(t - 8);
    task.offset[t] = 0.1f * static_cast<float>(t % 3);
  }
  const CodeSet codes = {.lo = -8, .hi = 7};
  TrialSums portable_sums;
  portable::kScaleSearch.score(task, codes, portable_sums);
  for (const simd::Isa isa : test::machine_isas()) {
    TrialSums sums;
    simd::choose(isa, portable::kScaleSearch, avx2::kScaleSearch, avx512::kScaleSearch)
        .score(task, codes, sums);
    EXPECT_EQ(std::memcmp(&sums, &portable_sums, sizeof(sums)), 0) << simd::isa_name(isa);
  }
}

}  // namespace
}  // namespace corral::quant
