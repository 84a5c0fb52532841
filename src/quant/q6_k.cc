#include "quant/q6_k.h"

#include "quant/block_bytes.h"

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

}  // namespace corral::quant
