#include "ops/embedding/embedding.h"

#include <algorithm>
#include <vector>

#include "autograd/tape.h"
#include "ops/embedding/embedding_kernel.h"
#include "quant/block_format.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements

const EmbeddingKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kEmbedding, avx2::kEmbedding,
                      avx512::kEmbedding);
}

int64_t grain_rows(int64_t D) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, D)); }

void check(std::span<const int32_t> tokens, const Tensor& table_VD) {
  if (table_VD.rank() != 2) {
    throw ShapeError(str("embedding: the table is ", table_VD.shape(), ", needs [V, D]"));
  }
  const DType dtype = table_VD.dtype();
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16 && !is_block(dtype)) {
    throw NotSupported(str("embedding: the table is ", dtype, ", needs f32, f16, bf16 or blocks"));
  }
  const int64_t V = table_VD.dim(0);
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0 || tokens[t] >= V) {
      throw Error(str("embedding: token ", t, " has id ", tokens[t], ", the vocabulary has ", V));
    }
  }
}

void widen_row(const EmbeddingKernel& kernel, DType dtype, const std::byte* row, float* y,
               int64_t D) {
  switch (dtype) {
    case DType::kF16:
      return kernel.widen_f16(reinterpret_cast<const uint16_t*>(row), y, D);
    case DType::kBF16:
      return kernel.widen_bf16(reinterpret_cast<const uint16_t*>(row), y, D);
    case DType::kF32:
      std::copy_n(reinterpret_cast<const float*>(row), D, y);
      return;
    default:
      return quant::block_format(dtype).dequantize(row, y, D);
  }
}

/// Places of the tokens, sorted by id and, for the same id, by place.
std::vector<int32_t> sort_by_id(const std::vector<int32_t>& tokens, int64_t V) {
  std::vector<int32_t> next(static_cast<size_t>(V) + 1, 0);
  for (const int32_t id : tokens) ++next[static_cast<size_t>(id) + 1];
  for (size_t v = 1; v < next.size(); ++v) next[v] += next[v - 1];
  std::vector<int32_t> order(tokens.size());
  for (size_t t = 0; t < tokens.size(); ++t) {
    order[static_cast<size_t>(next[static_cast<size_t>(tokens[t])]++)] = static_cast<int32_t>(t);
  }
  return order;
}

/// sum_VD[tokens[t], :] += dy_TD[t, :], each row by one thread in the order of t.
void scatter_add(const Tensor& dy_TD, const std::vector<int32_t>& tokens, Tensor& sum_VD) {
  const int64_t D = sum_VD.dim(1);
  const std::vector<int32_t> order = sort_by_id(tokens, sum_VD.dim(0));
  const EmbeddingKernel& kernel = kernel_of(sum_VD);
  const float* from = dy_TD.data<float>();
  float* sum = sum_VD.mutable_data<float>();
  const auto id_at = [&](int64_t i) {
    return tokens[static_cast<size_t>(order[static_cast<size_t>(i)])];
  };
  const auto n = static_cast<int64_t>(order.size());
  sum_VD.device()->threads().parallel_for(n, grain_rows(D), [&](int64_t begin, int64_t end) {
    // A run of one id belongs to the thread in whose part it begins.
    while (begin > 0 && begin < n && id_at(begin) == id_at(begin - 1)) ++begin;
    while (end > begin && end < n && id_at(end) == id_at(end - 1)) ++end;
    for (int64_t i = begin; i < end; ++i) {
      kernel.accumulate(from + int64_t{order[static_cast<size_t>(i)]} * D,
                        sum + int64_t{id_at(i)} * D, D);
    }
  });
}

}  // namespace

Tensor embedding(std::span<const int32_t> tokens, const Tensor& table_VD) {
  check(tokens, table_VD);
  const auto T = static_cast<int64_t>(tokens.size());
  const int64_t D = table_VD.dim(1);
  const DType dtype = table_VD.dtype();
  const int64_t row_bytes = bytes_of(dtype, D);
  Tensor y_TD({T, D}, DType::kF32, table_VD.device());
  const EmbeddingKernel& kernel = kernel_of(table_VD);
  const auto* table = table_VD.data<std::byte>();
  auto* y = y_TD.mutable_data<float>();
  table_VD.device()->threads().parallel_for(T, grain_rows(D), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      widen_row(kernel, dtype, table + tokens[static_cast<size_t>(t)] * row_bytes, y + t * D, D);
    }
  });

  if (!autograd::recording({table_VD})) return y_TD;
  auto backward = [saved = std::vector<int32_t>(tokens.begin(), tokens.end()),
                   shape = table_VD.shape()](const Tensor& dy_TD, autograd::GradientSink& sink) {
    Tensor sum_VD = sink.into(0, shape, dy_TD.device());
    scatter_add(dy_TD, saved, sum_VD);
  };
  return autograd::record("embedding", {table_VD}, y_TD, std::move(backward));
}

}  // namespace corral::ops
