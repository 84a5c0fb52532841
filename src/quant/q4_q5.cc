#include "quant/q4_q5.h"

#include <algorithm>

#include "quant/block_bytes.h"
#include "quant/scale_search.h"

namespace corral::quant {
namespace {

constexpr int64_t kElements = 32;

/// Where the fields of a block stand.
struct Layout {
  int64_t bytes;
  int64_t high;   // of the fifth bits; 0 when there are none
  int64_t codes;  // of the 16 bytes of low bits
};

constexpr Layout kQ4_0 = {18, 0, 2};
constexpr Layout kQ4_1 = {20, 0, 4};
constexpr Layout kQ5_0 = {22, 2, 6};
constexpr Layout kQ5_1 = {24, 4, 8};

template <Layout layout>
int code_at(const uint8_t* block, int64_t i) {
  int code = low_high_nibble(block + layout.codes, i);
  if constexpr (layout.high != 0) code |= ((block[layout.high + i / 8] >> (i % 8)) & 1) << 4;
  return code;
}

/// d (code - middle)
template <Layout layout, int middle>
void dequantize_symmetric(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / kElements; ++b) {
    const uint8_t* block = as_u8(blocks) + b * layout.bytes;
    const float d = load_f16(block);
    for (int64_t i = 0; i < kElements; ++i) {
      x[b * kElements + i] = d * static_cast<float>(code_at<layout>(block, i) - middle);
    }
  }
}

/// d code + m
template <Layout layout>
void dequantize_offset(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t b = 0; b < n / kElements; ++b) {
    const uint8_t* block = as_u8(blocks) + b * layout.bytes;
    const float d = load_f16(block);
    const float m = load_f16(block + 2);
    for (int64_t i = 0; i < kElements; ++i) {
      x[b * kElements + i] = d * static_cast<float>(code_at<layout>(block, i)) + m;
    }
  }
}

template <Layout layout>
void put_code(uint8_t* block, int64_t i, int code) {
  put_low_high_nibble(block + layout.codes, i, code & 15);
  if constexpr (layout.high != 0) put_bits(block[layout.high + i / 8], code >> 4, i % 8);
}

template <Layout layout, int middle>
void quantize_symmetric(const char* type, const float* x, const float* importance,
                        std::byte* blocks, int64_t n) {
  const CodeSet codes = integer_codes(-middle, middle - 1);
  for (int64_t at = 0; at < n; at += kElements) {
    const BlockValues values(type, x + at, importance ? importance + at : nullptr, kElements);
    uint8_t* block = as_u8(blocks) + at / kElements * layout.bytes;
    std::fill_n(block, layout.bytes, uint8_t{0});
    const auto d =
        values.to_half(static_cast<double>(fit_scale(values.x(), values.w(), kElements, codes)));
    store_u16(block, d.bits);
    for (int64_t i = 0; i < kElements; ++i) {
      put_code<layout>(block, i, nearest_code(values.x()[i], d.value, 0, codes) + middle);
    }
  }
}

template <Layout layout, int hi>
void quantize_offset(const char* type, const float* x, const float* importance, std::byte* blocks,
                     int64_t n) {
  const CodeSet codes = integer_codes(0, hi);
  for (int64_t at = 0; at < n; at += kElements) {
    const BlockValues values(type, x + at, importance ? importance + at : nullptr, kElements);
    uint8_t* block = as_u8(blocks) + at / kElements * layout.bytes;
    std::fill_n(block, layout.bytes, uint8_t{0});
    const Fit fit = fit_scale_and_offset(values.x(), values.w(), kElements, hi, Offset::kAny);
    const auto d = values.to_half(static_cast<double>(fit.scale));
    const auto m = values.to_half(static_cast<double>(fit.offset));
    store_u16(block, d.bits);
    store_u16(block + 2, m.bits);
    for (int64_t i = 0; i < kElements; ++i) {
      put_code<layout>(block, i, nearest_code(values.x()[i], d.value, m.value, codes));
    }
  }
}

}  // namespace

void dequantize_row_q4_0(const std::byte* blocks, float* x, int64_t n) {
  dequantize_symmetric<kQ4_0, 8>(blocks, x, n);
}
void dequantize_row_q4_1(const std::byte* blocks, float* x, int64_t n) {
  dequantize_offset<kQ4_1>(blocks, x, n);
}
void dequantize_row_q5_0(const std::byte* blocks, float* x, int64_t n) {
  dequantize_symmetric<kQ5_0, 16>(blocks, x, n);
}
void dequantize_row_q5_1(const std::byte* blocks, float* x, int64_t n) {
  dequantize_offset<kQ5_1>(blocks, x, n);
}

void quantize_row_q4_0(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  quantize_symmetric<kQ4_0, 8>("q4_0", x, importance, blocks, n);
}
void quantize_row_q4_1(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  quantize_offset<kQ4_1, 15>("q4_1", x, importance, blocks, n);
}
void quantize_row_q5_0(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  quantize_symmetric<kQ5_0, 16>("q5_0", x, importance, blocks, n);
}
void quantize_row_q5_1(const float* x, const float* importance, std::byte* blocks, int64_t n) {
  quantize_offset<kQ5_1, 31>("q5_1", x, importance, blocks, n);
}

}  // namespace corral::quant
