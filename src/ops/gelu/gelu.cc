#include "ops/gelu/gelu.h"

#include "autograd/tape.h"
#include "ops/gelu/gelu_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;

}  // namespace

Tensor gelu(const Tensor& x) {
  if (x.dtype() != DType::kF32) throw NotSupported(str("gelu: x is ", x.dtype(), ", needs f32"));
  const GeluKernel& kernel =
      simd::choose(x.device()->isa(), portable::kGelu, avx2::kGelu, avx512::kGelu);
  Tensor y = empty_like(x);
  const auto* from = x.data<float>();
  auto* to = y.mutable_data<float>();
  x.device()->threads().parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernel.forward(from + begin, to + begin, end - begin);
  });

  auto backward = [x = x.detach(), &kernel](const Tensor& dy, autograd::GradientSink& sink) {
    Tensor dx = empty_like(x);
    const auto* from_dy = dy.data<float>();
    const auto* saved = x.data<float>();
    auto* to_dx = dx.mutable_data<float>();
    x.device()->threads().parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      kernel.backward(from_dy + begin, saved + begin, to_dx + begin, end - begin);
    });
    sink.add(0, dx);
  };
  return autograd::record("gelu", {x}, y, std::move(backward));
}

}  // namespace corral::ops
