#include "ops/rms_norm/rms_norm.h"

#include <algorithm>
#include <utility>

#include "autograd/tape.h"
#include "ops/rms_norm/rms_norm_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements
constexpr int64_t kBlockRows = 128;  // rows whose part of dw is summed at once

const RmsNormKernel& kernel_of(const Tensor& x) {
  return simd::choose(x.device()->isa(), portable::kRmsNorm, avx2::kRmsNorm, avx512::kRmsNorm);
}

void check(const Tensor& x, const Tensor* w_D) {
  if (x.rank() == 0) throw ShapeError("rms_norm: x is a scalar, needs a last axis");
  if (x.dtype() != DType::kF32)
    throw NotSupported(str("rms_norm: x is ", x.dtype(), ", needs f32"));
  if (w_D == nullptr) return;
  if (w_D->shape() != Shape{x.dim(-1)}) {
    throw ShapeError(str("rms_norm: w is ", w_D->shape(), ", x needs [", x.dim(-1), "]"));
  }
  if (w_D->dtype() != DType::kF32) {
    throw NotSupported(str("rms_norm: w is ", w_D->dtype(), ", needs f32"));
  }
}

/// dx unless undefined; returns dw if wanted.
Tensor backward_rows(const Tensor& dy, const Tensor& x, const Tensor& w_D, const Tensor& r_N,
                     Tensor& dx, bool wants_dw) {
  const int64_t D = x.dim(-1);
  const int64_t rows = r_N.numel();
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  Tensor parts_BD = wants_dw ? Tensor({blocks, D}, DType::kF32, x.device()) : Tensor();
  const RmsNormKernel& kernel = kernel_of(x);
  const float* w = w_D.defined() ? w_D.data<float>() : nullptr;
  const float* from_dy = dy.data<float>();
  const float* from_x = x.data<float>();
  const float* r = r_N.data<float>();
  float* to_dx = dx.defined() ? dx.mutable_data<float>() : nullptr;
  float* parts = wants_dw ? parts_BD.mutable_data<float>() : nullptr;
  x.device()->threads().parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kBlockRows;
      kernel.backward(from_dy + first * D, from_x + first * D, w, r + first,
                      to_dx != nullptr ? to_dx + first * D : nullptr,
                      parts != nullptr ? parts + b * D : nullptr,
                      std::min(kBlockRows, rows - first), D);
    }
  });
  if (!wants_dw) return {};
  Tensor dw_D = Tensor::zeros({D}, DType::kF32, x.device());
  auto* dw = dw_D.mutable_data<float>();
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t d = 0; d < D; ++d) dw[d] += parts[b * D + d];
  }
  return dw_D;
}

}  // namespace

Tensor rms_norm(Tensor x, const Tensor* w_D, float eps) {
  check(x, w_D);
  const Tensor none;
  const Tensor& weight = w_D != nullptr ? *w_D : none;
  const bool recorded = autograd::recording({x, weight});
  const int64_t D = x.dim(-1);
  const int64_t rows = D == 0 ? 0 : x.numel() / D;
  Tensor r_N = recorded ? Tensor({rows}, DType::kF32, x.device()) : Tensor();
  const float* w = w_D != nullptr ? w_D->data<float>() : nullptr;
  const float* from = x.data<float>();
  float* r = recorded ? r_N.mutable_data<float>() : nullptr;
  Tensor y = autograd::reuse_or_new(std::move(x), recorded);
  const RmsNormKernel& kernel = kernel_of(y);
  float* to = y.mutable_data<float>();
  y.device()->threads().parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, D)),
                                     [&](int64_t begin, int64_t end) {
                                       kernel.forward(from + begin * D, w, eps, to + begin * D,
                                                      r != nullptr ? r + begin : nullptr,
                                                      end - begin, D);
                                     });

  if (!recorded) return y;
  auto backward = [x = x.detach(), w = weight.detach(), r_N](const Tensor& dy,
                                                             autograd::GradientSink& sink) {
    Tensor dx = sink.needs(0) ? empty_like(x) : Tensor();
    const Tensor dw_D = backward_rows(dy, x, w, r_N, dx, sink.needs(1));
    if (dx.defined()) sink.add(0, dx);
    if (dw_D.defined()) sink.add(1, dw_D);
  };
  return autograd::record("rms_norm", {x, weight}, y, std::move(backward));
}

}  // namespace corral::ops
