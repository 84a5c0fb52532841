#include "quant/q3_k.h"

#include <algorithm>

#include "quant/block_bytes.h"
#include "quant/two_level.h"

namespace corral::quant {
namespace {

constexpr int64_t kElements = 256;
constexpr int64_t kGroup = 16;
constexpr int64_t kBytes = 110;
constexpr int64_t kCodes = 32;
constexpr int64_t kScales = 96;
constexpr int64_t kScale = 108;

int code_at(const uint8_t* block, int64_t e) {
  const int low = (block[kCodes + e / 128 * 32 + e % 32] >> (2 * (e % 128 / 32))) & 3;
  const int high = (block[e % 32] >> (e / 32)) & 1;
  return (low | high << 2) - 4;
}

int group_scale(const uint8_t* packed, int64_t g) {
  const int low = (packed[g % 8] >> (g < 8 ? 0 : 4)) & 15;
  const int high = (packed[8 + g % 4] >> (2 * (g / 4))) & 3;
  return (low | high << 4) - 32;
}

}  // namespace

void dequantize_row_q3_k(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / kElements; ++b) {
    const uint8_t* block = as_u8(blocks) + b * kBytes;
    for (int64_t g = 0; g < kElements / kGroup; ++g) {
      const float d =
          load_f16(block + kScale) * static_cast<float>(group_scale(block + kScales, g));
      for (int64_t e = g * kGroup; e < (g + 1) * kGroup; ++e) {
        *x++ = d * static_cast<float>(code_at(block, e));
      }
    }
  }
}

void quantize_row_q3_k(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  for (int64_t at = 0; at < n; at += kElements) {
    const BlockValues values("q3_k", x + at, importance ? importance + at : nullptr, kElements);
    const ScaledBlock fit = fit_scaled_block(values, kGroup, -32, integer_codes(-4, 3));
    uint8_t* block = as_u8(blocks) + at / kElements * kBytes;
    std::fill_n(block, kBytes, uint8_t{0});
    for (int64_t e = 0; e < kElements; ++e) {
      const int code = fit.code.at(static_cast<size_t>(e)) + 4;
      put_bits(block[kCodes + e / 128 * 32 + e % 32], code & 3, 2 * (e % 128 / 32));
      put_bits(block[e % 32], code >> 2, e / 32);
    }
    for (int64_t g = 0; g < kElements / kGroup; ++g) {
      const int scale = fit.integer.at(static_cast<size_t>(g)) + 32;
      put_bits(block[kScales + g % 8], scale & 15, g < 8 ? 0 : 4);
      put_bits(block[kScales + 8 + g % 4], scale >> 4, 2 * (g / 4));
    }
    store_u16(block + kScale, fit.scale);
  }
}

}  // namespace corral::quant
