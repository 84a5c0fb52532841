#include "quant/q8_0.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/dtype.h"

namespace corral::quant {
namespace {

constexpr float kLargestScale = 65504;

void quantize_block(const float* x, std::byte* block) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < kQ8BlockElements; ++i) {
    finite = finite && std::isfinite(x[i]);
    largest = std::max(largest, std::abs(x[i]));
  }
  const float d = largest / 127.0f;
  if (!finite || d > kLargestScale) {
    throw Error(str("q8_0 cannot hold ",
                    finite ? "values as large as " : "a value that is not finite",
                    finite ? str(largest) : ""));
  }
  // A scale below 3e-39 has no finite inverse, and is zero in f16 anyway.
  const float inverse = d > 0 && std::isfinite(1.0f / d) ? 1.0f / d : 0.0f;
  const uint16_t scale = f32_to_f16(d);
  std::memcpy(block, &scale, sizeof(scale));
  for (int64_t i = 0; i < kQ8BlockElements; ++i) {
    const auto q = static_cast<int8_t>(std::round(x[i] * inverse));
    std::memcpy(block + sizeof(scale) + i, &q, 1);
  }
}

}  // namespace

void quantize_row_q8_0(const float* x, std::byte* blocks, int64_t n) {
  for (int64_t i = 0; i < n / kQ8BlockElements; ++i) {
    quantize_block(x + i * kQ8BlockElements, blocks + i * kQ8BlockBytes);
  }
}

void dequantize_row_q8_0(const std::byte* blocks, float* x, int64_t n) {
  for (int64_t i = 0; i < n / kQ8BlockElements; ++i) {
    const std::byte* block = blocks + i * kQ8BlockBytes;
    uint16_t scale;
    std::memcpy(&scale, block, sizeof(scale));
    const float d = f16_to_f32(scale);
    for (int64_t j = 0; j < kQ8BlockElements; ++j) {
      int8_t q;
      std::memcpy(&q, block + sizeof(scale) + j, 1);
      x[i * kQ8BlockElements + j] = d * static_cast<float>(q);
    }
  }
}

}  // namespace corral::quant
