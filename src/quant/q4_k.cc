#include "quant/q4_k.h"

#include "quant/block_bytes.h"

namespace corral::quant {
namespace {

constexpr int64_t kGroup = 32;
constexpr int64_t kGroups = 8;
constexpr int64_t kScales = 4;  // where the packed scales stand

struct Layout {
  int64_t bytes;
  int64_t high;  // of the fifth bits; 0 when there are none
  int64_t codes;
};

constexpr Layout kQ4 = {144, 0, 16};
constexpr Layout kQ5 = {176, 16, 48};

struct GroupScale {
  int scale;
  int offset;
};

GroupScale group_scale(const uint8_t* packed, int64_t g) {
  if (g < 4) return {packed[g] & 63, packed[g + 4] & 63};
  return {(packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4, packed[g + 4] >> 4 | (packed[g] >> 6)
                                                                                     << 4};
}

template <Layout layout>
int code_at(const uint8_t* block, int64_t g, int64_t i) {
  int code = (block[layout.codes + g / 2 * kGroup + i] >> (4 * (g % 2))) & 15;
  if constexpr (layout.high != 0) code |= ((block[layout.high + i] >> g) & 1) << 4;
  return code;
}

template <Layout layout>
void dequantize(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / (kGroup * kGroups); ++b) {
    const uint8_t* block = as_u8(blocks) + b * layout.bytes;
    for (int64_t g = 0; g < kGroups; ++g) {
      const GroupScale packed = group_scale(block + kScales, g);
      const float d = load_f16(block) * static_cast<float>(packed.scale);
      const float m = load_f16(block + 2) * static_cast<float>(packed.offset);
      for (int64_t i = 0; i < kGroup; ++i)
        *x++ = d * static_cast<float>(code_at<layout>(block, g, i)) - m;
    }
  }
}

}  // namespace

void dequantize_row_q4_k(const std::byte* blocks, float* x, int64_t n) {
  dequantize<kQ4>(blocks, x, n);
}
void dequantize_row_q5_k(const std::byte* blocks, float* x, int64_t n) {
  dequantize<kQ5>(blocks, x, n);
}

}  // namespace corral::quant
