#include "ops/combine/combine.h"

#include <algorithm>
#include <utility>

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

void check(const Tensor& shared_TD, const Tensor& rows_ND, const Routing& routing) {
  if (rows_ND.rank() != 2 || rows_ND.dim(0) != routing.rows()) {
    throw ShapeError(
        str("combine: rows are ", rows_ND.shape(), ", needs [", routing.rows(), ", D]"));
  }
  const Shape needs{routing.tokens, rows_ND.dim(1)};
  if (shared_TD.shape() != needs) {
    throw ShapeError(str("combine: shared is ", shared_TD.shape(), ", needs ", needs));
  }
  if (shared_TD.dtype() != DType::kF32 || rows_ND.dtype() != DType::kF32) {
    throw NotSupported(str("combine: shared is ", shared_TD.dtype(), ", rows are ", rows_ND.dtype(),
                           ", needs f32"));
  }
}

Tensor rows_gradient(const Tensor& dy_TD, const Routing& routing, int64_t D) {
  Tensor drows_ND({routing.rows(), D}, DType::kF32, dy_TD.device());
  const CombineKernel& kernel = kernel_of(dy_TD);
  const float* dy = dy_TD.data<float>();
  float* drows = drows_ND.mutable_data<float>();
  dy_TD.device()->threads().parallel_for(
      routing.tokens, grain_tokens(routing, D), [&](int64_t begin, int64_t end) {
        kernel.backward(dy, routing.row_of_TK.data(), routing.top_k, D, drows, begin, end);
      });
  return drows_ND;
}

}  // namespace

Tensor combine(Tensor shared_TD, const Tensor& rows_ND, const Routing& routing) {
  check(shared_TD, rows_ND, routing);
  const int64_t D = rows_ND.dim(1);
  const bool recorded = autograd::recording({shared_TD, rows_ND});
  const float* shared = shared_TD.data<float>();
  const float* rows = rows_ND.data<float>();
  Tensor y_TD = autograd::reuse_or_new(std::move(shared_TD), recorded);
  const CombineKernel& kernel = kernel_of(y_TD);
  float* y = y_TD.mutable_data<float>();
  y_TD.device()->threads().parallel_for(
      routing.tokens, grain_tokens(routing, D), [&](int64_t begin, int64_t end) {
        kernel.forward(shared, rows, routing.row_of_TK.data(), routing.top_k, D, y, begin, end);
      });

  if (!recorded) return y_TD;
  auto backward = [routing, D](const Tensor& dy_TD, autograd::GradientSink& sink) {
    sink.add(0, dy_TD);
    if (sink.needs(1)) sink.add(1, rows_gradient(dy_TD, routing, D));
  };
  return autograd::record("combine", {shared_TD, rows_ND}, y_TD, std::move(backward));
}

}  // namespace corral::ops
