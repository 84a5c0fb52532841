#include "quant/q4_q5.h"

#include "quant/block_bytes.h"

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

}  // namespace corral::quant
