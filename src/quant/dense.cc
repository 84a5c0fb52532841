#include "quant/dense.h"

#include <algorithm>
#include <bit>

#include "quant/block_format.h"
#include "quant/coded.h"
#include "quant/interleaved.h"

namespace corral::quant {
namespace {

constexpr int64_t kTile = 32;  // rows whose cache lines are in use at the same time

// Rows [first, first + n) of K columns; from: the first of them, its neighbours stride_out and
// stride_in away. The inner loop follows whichever of the two is the smaller.
template <class T, class Widen>
void widen_rows(const T* from, int64_t stride_out, int64_t stride_in, int64_t n, int64_t K,
                const Widen& widen, float* to) {
  if (stride_in <= stride_out) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t k = 0; k < K; ++k) to[i * K + k] = widen(from[i * stride_out + k * stride_in]);
    }
    return;
  }
  for (int64_t k = 0; k < K; ++k) {
    for (int64_t i = 0; i < n; ++i) to[i * K + k] = widen(from[i * stride_out + k * stride_in]);
  }
}

// Rows [begin, end) of a matrix of floats.
void widen(const LinearWeight& w, int64_t first, int64_t begin, int64_t end, float* to) {
  const int64_t K = w.in_features;
  for (int64_t row = begin; row < end; row += kTile) {
    const int64_t n = std::min(kTile, end - row);
    const int64_t at = first + row * w.stride_out;
    const auto rows = [&](const auto* data, const auto& widen) {
      widen_rows(data + at, w.stride_out, w.stride_in, n, K, widen, to + row * K);
    };
    switch (w.data.dtype()) {
      case DType::kF32:
        rows(w.data.data<float>(), [](float x) { return x; });
        break;
      case DType::kF16:
        rows(w.data.data<uint16_t>(), [](uint16_t x) { return f16_to_f32(x); });
        break;
      case DType::kBF16:
        rows(w.data.data<uint16_t>(), [](uint16_t x) {
          return std::bit_cast<float>(static_cast<uint32_t>(x) << 16);  // without a call for each
        });
        break;
      default:
        throw NotSupported(str("a ", w.data.dtype(), " tensor as weights"));
    }
  }
}

// The same of blocks.
void dequantize(const LinearWeight& w, int64_t first, int64_t begin, int64_t end, float* to) {
  const DType dtype = w.data.dtype();
  for (int64_t n = begin; n < end; ++n) {
    const std::byte* blocks = w.data.data<std::byte>() + bytes_of(dtype, first + n * w.stride_out);
    block_format(dtype).dequantize(blocks, to + n * w.in_features, w.in_features);
  }
}

// Row n of a matrix whose rows are interleaved, as it was.
Tensor row_of_interleaved(const LinearWeight& w, int64_t first, int64_t n) {
  const DType dtype = w.data.dtype();
  const int64_t place = n % w.interleaving.rows;
  Tensor row({1, w.in_features}, dtype, w.data.device());
  read_interleaved(dtype, w.interleaving,
                   w.data.data<std::byte>() + bytes_of(dtype, first + (n - place) * w.stride_out),
                   place, w.in_features, row.mutable_data<std::byte>());
  return row;
}

}  // namespace

Tensor dense_f32(const LinearWeight& weight, int64_t index) {
  const int64_t N = weight.out_features;
  const int64_t K = weight.in_features;
  const DType dtype = weight.data.dtype();
  const int64_t first = weight.offset + index * weight.stride_count;
  Tensor out({N, K}, DType::kF32, weight.data.device());
  auto* to = out.mutable_data<float>();
  weight.data.device()->threads().parallel_for(N, kTile, [&](int64_t begin, int64_t end) {
    if (weight.coding != Coding::kNone) {
      decode_rows(weight, index, begin, end - begin, to + begin * K);
    } else if (weight.interleaving) {
      for (int64_t n = begin; n < end; ++n) {
        const Tensor row = dense_f32(LinearWeight::out_in(row_of_interleaved(weight, first, n)));
        std::copy_n(row.data<float>(), K, to + n * K);
      }
    } else if (is_block(dtype)) {
      dequantize(weight, first, begin, end, to);
    } else {
      widen(weight, first, begin, end, to);
    }
  });
  return out;
}

void transpose(const Tensor& matrix_NK, float* to, int64_t stride) {
  const int64_t N = matrix_NK.dim(0);
  const int64_t K = matrix_NK.dim(1);
  const auto* from = matrix_NK.data<float>();
  matrix_NK.device()->threads().parallel_for(K, kTile, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t last = std::min(end, tile + kTile);
      for (int64_t n = 0; n < N; ++n) {
        for (int64_t k = tile; k < last; ++k) to[k * stride + n] = from[n * K + k];
      }
    }
  });
}

}  // namespace corral::quant
