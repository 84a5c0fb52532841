#include "quant/iq4.h"

#include "quant/block_bytes.h"

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

}  // namespace corral::quant
