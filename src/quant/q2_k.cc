#include "quant/q2_k.h"

#include <algorithm>

#include "quant/block_bytes.h"
#include "quant/two_level.h"

namespace corral::quant {
namespace {

constexpr int64_t kElements = 256;
constexpr int64_t kGroup = 16;
constexpr int64_t kBytes = 84;
constexpr int64_t kCodes = 16;
constexpr int64_t kScale = 80;
constexpr int64_t kOffsetScale = 82;

int code_at(const uint8_t* block, int64_t e) {
  return (block[kCodes + e / 128 * 32 + e % 32] >> (2 * (e % 128 / 32))) & 3;
}

}  // namespace

void dequantize_row_q2_k(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / kElements; ++b) {
    const uint8_t* block = as_u8(blocks) + b * kBytes;
    for (int64_t g = 0; g < kElements / kGroup; ++g) {
      const float d = load_f16(block + kScale) * static_cast<float>(block[g] & 15);
      const float m = load_f16(block + kOffsetScale) * static_cast<float>(block[g] >> 4);
      for (int64_t e = g * kGroup; e < (g + 1) * kGroup; ++e) {
        *x++ = d * static_cast<float>(code_at(block, e)) - m;
      }
    }
  }
}

void quantize_row_q2_k(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  for (int64_t at = 0; at < n; at += kElements) {
    const BlockValues values("q2_k", x + at, importance ? importance + at : nullptr, kElements);
    const OffsetBlock fit = fit_offset_block(values, kGroup, 15, 3);
    uint8_t* block = as_u8(blocks) + at / kElements * kBytes;
    std::fill_n(block, kBytes, uint8_t{0});
    for (int64_t g = 0; g < kElements / kGroup; ++g) {
      const auto i = static_cast<size_t>(g);
      put_bits(block[g], fit.integer.at(i) | fit.offset.at(i) << 4, 0);
    }
    for (int64_t e = 0; e < kElements; ++e) {
      put_bits(block[kCodes + e / 128 * 32 + e % 32], fit.code.at(static_cast<size_t>(e)),
               2 * (e % 128 / 32));
    }
    store_u16(block + kScale, fit.scale);
    store_u16(block + kOffsetScale, fit.offset_scale);
  }
}

}  // namespace corral::quant
