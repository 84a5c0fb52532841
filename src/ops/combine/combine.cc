#include "ops/combine/combine.h"

#include <algorithm>

#include "autograd/tape.h"
#include "ops/combine/combine_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements

const CombineKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kCombine, avx2::kCombine, avx512::kCombine);
}

int64_t grain_tokens(const Routing& routing, int64_t D) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, routing.top_k * D));
}

}  // namespace

Tensor combine(const Tensor& rows_ND, const RoutingPtr& routing) {
  if (rows_ND.rank() != 2 || rows_ND.dim(0) != routing->rows()) {
    throw ShapeError(
        str("combine: rows are ", rows_ND.shape(), ", needs [", routing->rows(), ", D]"));
  }
  if (rows_ND.dtype() != DType::kF32) {
    throw NotSupported(str("combine: rows are ", rows_ND.dtype(), ", needs f32"));
  }
  const int64_t D = rows_ND.dim(1);
  Tensor y_TD({routing->tokens, D}, DType::kF32, rows_ND.device());
  const CombineKernel& kernel = kernel_of(rows_ND);
  const float* rows = rows_ND.data<float>();
  float* y = y_TD.mutable_data<float>();
  rows_ND.device()->threads().parallel_for(
      routing->tokens, grain_tokens(*routing, D), [&](int64_t begin, int64_t end) {
        kernel.forward(rows, routing->row_of_TK.data(), routing->top_k, D, y, begin, end);
      });

  if (!autograd::recording({rows_ND})) return y_TD;
  auto backward = [routing, D](const Tensor& dy_TD, autograd::GradientSink& sink) {
    Tensor drows_ND({routing->rows(), D}, DType::kF32, dy_TD.device());
    const CombineKernel& kernels = kernel_of(dy_TD);
    const float* dy = dy_TD.data<float>();
    float* drows = drows_ND.mutable_data<float>();
    dy_TD.device()->threads().parallel_for(
        routing->tokens, grain_tokens(*routing, D), [&](int64_t begin, int64_t end) {
          kernels.backward(dy, routing->row_of_TK.data(), routing->top_k, D, drows, begin, end);
        });
    sink.add(0, drows_ND);
  };
  return autograd::record("combine", {rows_ND}, y_TD, std::move(backward));
}

}  // namespace corral::ops
