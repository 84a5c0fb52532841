#include "ops/dispatch/dispatch.h"

#include <algorithm>

#include "autograd/tape.h"
#include "ops/dispatch/dispatch_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements

const DispatchKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kDispatch, avx2::kDispatch, avx512::kDispatch);
}

void check(const Tensor& x_TD, const Tensor& scores_N, const Routing& routing) {
  if (x_TD.rank() != 2 || x_TD.dim(0) != routing.tokens) {
    throw ShapeError(str("dispatch: x is ", x_TD.shape(), ", needs [", routing.tokens, ", D]"));
  }
  if (scores_N.shape() != Shape{routing.rows()}) {
    throw ShapeError(
        str("dispatch: scores are ", scores_N.shape(), ", needs [", routing.rows(), "]"));
  }
  if (x_TD.dtype() != DType::kF32 || scores_N.dtype() != DType::kF32) {
    throw NotSupported(
        str("dispatch: x is ", x_TD.dtype(), ", scores are ", scores_N.dtype(), ", needs f32"));
  }
}

int64_t grain_tokens(const DispatchArgs& args) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, args.K * args.D));
}

}  // namespace

Tensor dispatch(const Tensor& x_TD, const Tensor& scores_N, const RoutingPtr& routing) {
  check(x_TD, scores_N, *routing);
  const int64_t T = routing->tokens;
  const DispatchArgs args = {x_TD.data<float>(), scores_N.data<float>(), routing->row_of_TK.data(),
                             routing->top_k, x_TD.dim(1)};
  Tensor rows_ND({routing->rows(), args.D}, DType::kF32, x_TD.device());
  const DispatchKernel& kernel = kernel_of(x_TD);
  float* rows = rows_ND.mutable_data<float>();
  x_TD.device()->threads().parallel_for(T, grain_tokens(args), [&](int64_t begin, int64_t end) {
    kernel.forward(args, rows, begin, end);
  });

  if (!autograd::recording({x_TD, scores_N})) return rows_ND;
  // args points into the tensors and the routing that the closure keeps.
  auto backward = [x = x_TD.detach(), scores = scores_N.detach(), routing, args](
                      const Tensor& drows_ND, autograd::GradientSink& sink) {
    Tensor dx_TD = sink.needs(0) ? empty_like(x) : Tensor();
    Tensor dscores_N = sink.needs(1) ? empty_like(scores) : Tensor();
    float* dx = dx_TD.defined() ? dx_TD.mutable_data<float>() : nullptr;
    float* ds = dscores_N.defined() ? dscores_N.mutable_data<float>() : nullptr;
    const float* drows = drows_ND.data<float>();
    const DispatchKernel& kernels = kernel_of(x);
    x.device()->threads().parallel_for(
        routing->tokens, grain_tokens(args),
        [&](int64_t begin, int64_t end) { kernels.backward(args, drows, dx, ds, begin, end); });
    if (dx_TD.defined()) sink.add(0, dx_TD);
    if (dscores_N.defined()) sink.add(1, dscores_N);
  };
  return autograd::record("dispatch", {x_TD, scores_N}, rows_ND, std::move(backward));
}

}  // namespace corral::ops
