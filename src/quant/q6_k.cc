#include "quant/q6_k.h"

#include <algorithm>

#include "quant/block_bytes.h"
#include "quant/two_level.h"

namespace corral::quant {
namespace {

constexpr int64_t kElements = 256;
constexpr int64_t kGroup = 16;
constexpr int64_t kBytes = 210;
constexpr int64_t kHigh = 128;
constexpr int64_t kScales = 192;
constexpr int64_t kScale = 208;

int code_at(const uint8_t* block, int64_t e) {
  const int64_t half = e / 128;
  const int64_t r = e % 128;
  const int low = (block[64 * half + r % 64] >> (r < 64 ? 0 : 4)) & 15;
  const int high = (block[kHigh + 32 * half + e % 32] >> (2 * (r / 32))) & 3;
  return (low | high << 4) - 32;
}

}  // namespace

void dequantize_row_q6_k(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / kElements; ++b) {
    const uint8_t* block = as_u8(blocks) + b * kBytes;
    for (int64_t g = 0; g < kElements / kGroup; ++g) {
      const auto scale = static_cast<int8_t>(block[kScales + g]);
      const float d = load_f16(block + kScale) * static_cast<float>(scale);
      for (int64_t e = g * kGroup; e < (g + 1) * kGroup; ++e) {
        *x++ = d * static_cast<float>(code_at(block, e));
      }
    }
  }
}

void quantize_row_q6_k(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  for (int64_t at = 0; at < n; at += kElements) {
    const BlockValues values("q6_k", x + at, importance ? importance + at : nullptr, kElements);
    const ScaledBlock fit = fit_scaled_block(values, kGroup, -128, integer_codes(-32, 31));
    uint8_t* block = as_u8(blocks) + at / kElements * kBytes;
    std::fill_n(block, kBytes, uint8_t{0});
    for (int64_t e = 0; e < kElements; ++e) {
      const int code = fit.code.at(static_cast<size_t>(e)) + 32;
      const int64_t half = e / 128;
      const int64_t r = e % 128;
      put_bits(block[64 * half + r % 64], code & 15, r < 64 ? 0 : 4);
      put_bits(block[kHigh + 32 * half + e % 32], code >> 4, 2 * (r / 32));
    }
    for (int64_t g = 0; g < kElements / kGroup; ++g) {
      block[kScales + g] = static_cast<uint8_t>(fit.integer.at(static_cast<size_t>(g)));
    }
    store_u16(block + kScale, fit.scale);
  }
}

}  // namespace corral::quant
