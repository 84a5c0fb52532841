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

void check(const Tensor& x_TD, const Tensor& logits_TE, const Routing& routing) {
  if (x_TD.rank() != 2 || x_TD.dim(0) != routing.tokens) {
    throw ShapeError(str("dispatch: x is ", x_TD.shape(), ", needs [", routing.tokens, ", D]"));
  }
  const Shape needs{routing.tokens, routing.experts};
  if (logits_TE.shape() != needs) {
    throw ShapeError(str("dispatch: logits are ", logits_TE.shape(), ", needs ", needs));
  }
  if (x_TD.dtype() != DType::kF32 || logits_TE.dtype() != DType::kF32) {
    throw NotSupported(
        str("dispatch: x is ", x_TD.dtype(), ", logits are ", logits_TE.dtype(), ", needs f32"));
  }
}

DispatchArgs args_of(const Tensor& x_TD, const Tensor& logits_TE, const Routing& routing) {
  return {.x = x_TD.data<float>(),
          .logits = logits_TE.data<float>(),
          .expert_TK = routing.expert_TK.data(),
          .row_of_TK = routing.row_of_TK.data(),
          .E = routing.experts,
          .K = routing.top_k,
          .D = x_TD.dim(1)};
}

int64_t grain_tokens(const DispatchArgs& args) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, args.K * args.D));
}

}  // namespace

Tensor dispatch(const Tensor& x_TD, const Tensor& logits_TE, const Routing& routing) {
  check(x_TD, logits_TE, routing);
  const DispatchArgs args = args_of(x_TD, logits_TE, routing);
  Tensor rows_ND({routing.rows(), args.D}, DType::kF32, x_TD.device());
  const DispatchKernel& kernel = kernel_of(x_TD);
  float* rows = rows_ND.mutable_data<float>();
  x_TD.device()->threads().parallel_for(
      routing.tokens, grain_tokens(args),
      [&](int64_t begin, int64_t end) { kernel.forward(args, rows, begin, end); });

  if (!autograd::recording({x_TD, logits_TE})) return rows_ND;
  auto backward = [x = x_TD.detach(), logits = logits_TE.detach(), routing](
                      const Tensor& drows_ND, autograd::GradientSink& sink) {
    Tensor dx_TD = sink.needs(0) ? empty_like(x) : Tensor();
    Tensor dlogits_TE = sink.needs(1) ? sink.into(1, logits.shape(), x.device()) : Tensor();
    float* dx = dx_TD.defined() ? dx_TD.mutable_data<float>() : nullptr;
    float* dlogits = dlogits_TE.defined() ? dlogits_TE.mutable_data<float>() : nullptr;
    const float* drows = drows_ND.data<float>();
    const DispatchArgs saved = args_of(x, logits, routing);
    const DispatchKernel& kernels = kernel_of(x);
    x.device()->threads().parallel_for(routing.tokens, grain_tokens(saved),
                                       [&](int64_t begin, int64_t end) {
                                         kernels.backward(saved, drows, dx, dlogits, begin, end);
                                       });
    if (dx_TD.defined()) sink.add(0, dx_TD);
  };
  return autograd::record("dispatch", {x_TD, logits_TE}, rows_ND, std::move(backward));
}

}  // namespace corral::ops
