#include "quant/dense.h"

#include "quant/q8_0.h"

namespace corral::quant {
namespace {

float element(const Tensor& data, int64_t at) {
  switch (data.dtype()) {
    case DType::kF32:
      return data.data<float>()[at];
    case DType::kF16:
      return f16_to_f32(data.data<uint16_t>()[at]);
    case DType::kBF16:
      return bf16_to_f32(data.data<uint16_t>()[at]);
    default:
      throw NotSupported(str("a ", data.dtype(), " tensor as weights"));
  }
}

}  // namespace

Tensor dense_f32(const LinearWeight& weight, int64_t index) {
  const int64_t N = weight.out_features;
  const int64_t K = weight.in_features;
  Tensor out({N, K}, DType::kF32, weight.data.device());
  auto* to = out.mutable_data<float>();
  const int64_t first = weight.offset + index * weight.stride_count;
  weight.data.device()->threads().parallel_for(N, 16, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t row = first + n * weight.stride_out;
      if (weight.data.dtype() == DType::kQ8_0) {
        const std::byte* blocks = weight.data.data<std::byte>() + bytes_of(DType::kQ8_0, row);
        dequantize_row_q8_0(blocks, to + n * K, K);
        continue;
      }
      for (int64_t k = 0; k < K; ++k)
        to[n * K + k] = element(weight.data, row + k * weight.stride_in);
    }
  });
  return out;
}

}  // namespace corral::quant
