#include "quant/q4_k.h"

#include <algorithm>

#include "quant/block_bytes.h"
#include "quant/two_level.h"

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

void put_group_scale(uint8_t* packed, int64_t g, GroupScale value) {
  if (g < 4) {
    put_bits(packed[g], value.scale, 0);
    put_bits(packed[g + 4], value.offset, 0);
    return;
  }
  put_bits(packed[g + 4], (value.scale & 15) | (value.offset & 15) << 4, 0);
  put_bits(packed[g - 4], value.scale >> 4, 6);
  put_bits(packed[g], value.offset >> 4, 6);
}

template <Layout layout>
void quantize(const char* type, int hi, const float* x, const float* importance, std::byte* blocks,
              int64_t n) {
  for (int64_t at = 0; at < n; at += kBlockValues) {
    const BlockValues values(type, x + at, importance ? importance + at : nullptr, kBlockValues);
    const OffsetBlock fit = fit_offset_block(values, kGroup, 63, hi);
    uint8_t* block = as_u8(blocks) + at / kBlockValues * layout.bytes;
    std::fill_n(block, layout.bytes, uint8_t{0});
    store_u16(block, fit.scale);
    store_u16(block + 2, fit.offset_scale);
    for (int64_t e = 0; e < kBlockValues; ++e) {
      const int64_t g = e / kGroup;
      const int code = fit.code.at(static_cast<size_t>(e));
      put_bits(block[layout.codes + g / 2 * kGroup + e % kGroup], code & 15, 4 * (g % 2));
      if constexpr (layout.high != 0) put_bits(block[layout.high + e % kGroup], code >> 4, g);
    }
    for (int64_t g = 0; g < kGroups; ++g) {
      const auto i = static_cast<size_t>(g);
      put_group_scale(block + kScales, g, {fit.integer.at(i), fit.offset.at(i)});
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

void quantize_row_q4_k(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  quantize<kQ4>("q4_k", 15, x, importance, blocks, n);
}
void quantize_row_q5_k(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  quantize<kQ5>("q5_k", 31, x, importance, blocks, n);
}

}  // namespace corral::quant
