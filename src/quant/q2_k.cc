#include "quant/q2_k.h"

#include "quant/block_bytes.h"

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

}  // namespace corral::quant
