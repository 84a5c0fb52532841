#include "quant/mxfp4.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/block_bytes.h"
#include "quant/scale_search.h"

namespace corral::quant {
namespace {

constexpr int64_t kElements = 32;
constexpr int64_t kBytes = 17;

/// 2^(exponent - 128), half of the block's scale: a subnormal for the two smallest.
float half_scale(uint8_t exponent) {
  const uint32_t bits =
      exponent < 2 ? 0x00200000u << exponent : static_cast<uint32_t>(exponent - 1) << 23;
  return std::bit_cast<float>(bits);
}

// The doubled values in ascending order, as a set of codes; the sign is the upper bit of a code.
constexpr std::array<float, 16> kValues = {-12, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 6, 8, 12};
constexpr std::array<float, 15> kMiddles = {-10,  -7,   -5,   -3.5f, -2.5f, -1.5f, -0.5f, 0,
                                            0.5f, 1.5f, 2.5f, 3.5f,  5,     7,     10};
constexpr CodeSet kCodes = {kValues.front(), kValues.back(), kValues.data(), kMiddles.data()};

int code_of(int index) { return index >= 7 ? std::max(index - 8, 0) : 15 - index; }

/// The exponent of half of the block's scale, relative to the unit of the values.
int best_exponent(const BlockValues& values) {
  // The largest value is in [1, 2): nothing is cut from 2^-2 on, above 1.5 with 2^-3.
  ScaleTask task{.x = values.x(), .w = values.w(), .n = kElements, .scale = {}, .offset = {}};
  for (int t = 0; t < kTrials; ++t) task.scale[t] = std::ldexp(1.0f, t % 4 - 5);
  const TrialSums sums = score(task, kCodes);
  return static_cast<int>(std::min_element(sums.error, sums.error + 4) - sums.error) - 5;
}

}  // namespace

void dequantize_row_mxfp4(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / kElements; ++b) {
    const uint8_t* block = as_u8(blocks) + b * kBytes;
    const float d = half_scale(block[0]);
    for (int64_t i = 0; i < kElements; ++i) {
      const auto code = static_cast<size_t>(low_high_nibble(block + 1, i));
      x[b * kElements + i] = d * static_cast<float>(kMxfp4Doubled.at(code));
    }
  }
}

void quantize_row_mxfp4(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  for (int64_t at = 0; at < n; at += kElements) {
    const BlockValues values("mxfp4", x + at, importance ? importance + at : nullptr, kElements);
    uint8_t* block = as_u8(blocks) + at / kElements * kBytes;
    std::fill_n(block, kBytes, uint8_t{0});
    const int unit = std::ilogb(values.unit());
    const int exponent = std::clamp(best_exponent(values) + unit + 128, 0, 254);
    block[0] = static_cast<uint8_t>(exponent);
    const float scale = std::ldexp(1.0f, exponent - 128 - unit);
    for (int64_t i = 0; i < kElements; ++i) {
      put_low_high_nibble(block + 1, i, code_of(nearest_code(values.x()[i], scale, 0, kCodes)));
    }
  }
}

}  // namespace corral::quant
