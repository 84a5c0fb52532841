#include "quant/iq4.h"

#include <algorithm>

#include "quant/block_bytes.h"
#include "quant/two_level.h"

namespace corral::quant {
namespace {

constexpr int64_t kNlBytes = 18;
constexpr int64_t kXsBytes = 136;
constexpr int64_t kGroup = 32;
constexpr int64_t kGroups = 8;
constexpr int64_t kCodeBytes = 16;

void dequantize_group(const uint8_t* codes, float scale, float* x) {
  for (int64_t i = 0; i < kGroup; ++i) {
    x[i] =
        scale * static_cast<float>(kIq4Values.at(static_cast<size_t>(low_high_nibble(codes, i))));
  }
}

int xs_scale(const uint8_t* block, int64_t group) {
  const int low = (block[4 + group / 2] >> (4 * (group % 2))) & 15;
  const int high = (load_u16(block + 2) >> (2 * group)) & 3;
  return (low | high << 4) - 32;
}

constexpr auto kValues = [] {
  std::array<float, 16> values{};
  for (size_t i = 0; i < values.size(); ++i) values.at(i) = kIq4Values.at(i);
  return values;
}();
constexpr auto kMiddles = [] {
  std::array<float, 15> middles{};
  for (size_t i = 0; i < middles.size(); ++i) {
    middles.at(i) = (kValues.at(i) + kValues.at(i + 1)) / 2;
  }
  return middles;
}();
constexpr CodeSet kCodes = {kValues.front(), kValues.back(), kValues.data(), kMiddles.data()};

}  // namespace

void dequantize_row_iq4_nl(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / kGroup; ++b) {
    const uint8_t* block = as_u8(blocks) + b * kNlBytes;
    dequantize_group(block + 2, load_f16(block), x + b * kGroup);
  }
}

void dequantize_row_iq4_xs(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / (kGroup * kGroups); ++b) {
    const uint8_t* block = as_u8(blocks) + b * kXsBytes;
    for (int64_t g = 0; g < kGroups; ++g) {
      dequantize_group(block + 8 + g * kCodeBytes,
                       load_f16(block) * static_cast<float>(xs_scale(block, g)),
                       x + (b * kGroups + g) * kGroup);
    }
  }
}

void quantize_row_iq4_nl(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  for (int64_t at = 0; at < n; at += kGroup) {
    const BlockValues values("iq4_nl", x + at, importance ? importance + at : nullptr, kGroup);
    uint8_t* block = as_u8(blocks) + at / kGroup * kNlBytes;
    std::fill_n(block, kNlBytes, uint8_t{0});
    const auto d =
        values.to_half(static_cast<double>(fit_scale(values.x(), values.w(), kGroup, kCodes)));
    store_u16(block, d.bits);
    for (int64_t i = 0; i < kGroup; ++i) {
      put_low_high_nibble(block + 2, i, nearest_code(values.x()[i], d.value, 0, kCodes));
    }
  }
}

void quantize_row_iq4_xs(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  for (int64_t at = 0; at < n; at += kBlockValues) {
    const BlockValues values("iq4_xs", x + at, importance ? importance + at : nullptr,
                             kBlockValues);
    const ScaledBlock fit = fit_scaled_block(values, kGroup, -32, kCodes);
    uint8_t* block = as_u8(blocks) + at / kBlockValues * kXsBytes;
    std::fill_n(block, kXsBytes, uint8_t{0});
    store_u16(block, fit.scale);
    for (int64_t g = 0; g < kGroups; ++g) {
      const int scale = fit.integer.at(static_cast<size_t>(g)) + 32;
      put_bits(block[4 + g / 2], scale & 15, 4 * (g % 2));
      put_bits(block[2 + g / 4], scale >> 4, 2 * (g % 4));
    }
    for (int64_t i = 0; i < kBlockValues; ++i) {
      put_low_high_nibble(block + 8 + i / kGroup * kCodeBytes, i % kGroup,
                          fit.code.at(static_cast<size_t>(i)));
    }
  }
}

}  // namespace corral::quant
