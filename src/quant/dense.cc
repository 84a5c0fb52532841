#include "quant/dense.h"

#include "quant/block_format.h"
#include "quant/coded.h"

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
  if (weight.coding != Coding::kNone) {
    weight.data.device()->threads().parallel_for(N, 16, [&](int64_t begin, int64_t end) {
      decode_rows(weight, index, begin, end - begin, to + begin * K);
    });
    return out;
  }
  const DType dtype = weight.data.dtype();
  const int64_t first = weight.offset + index * weight.stride_count;
  weight.data.device()->threads().parallel_for(N, 16, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t row = first + n * weight.stride_out;
      if (is_block(dtype)) {
        const std::byte* blocks = weight.data.data<std::byte>() + bytes_of(dtype, row);
        block_format(dtype).dequantize(blocks, to + n * K, K);
        continue;
      }
      for (int64_t k = 0; k < K; ++k)
        to[n * K + k] = element(weight.data, row + k * weight.stride_in);
    }
  });
  return out;
}

}  // namespace corral::quant
