#include "quant/mxfp4.h"

#include <bit>

#include "quant/block_bytes.h"

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

}  // namespace corral::quant
