#include "ops/silu_mul/silu_mul.h"

#include <utility>

#include "autograd/tape.h"
#include "ops/silu_mul/silu_mul_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 13;

const SiluMulKernel& kernel_of(const Device& device) {
  return simd::choose(device.isa(), portable::kSiluMul, avx2::kSiluMul, avx512::kSiluMul);
}

}  // namespace

Tensor silu_mul(Tensor gate, const Tensor& up) {
  if (gate.shape() != up.shape()) {
    throw ShapeError(str("silu_mul: gate is ", gate.shape(), ", up is ", up.shape()));
  }
  if (gate.dtype() != DType::kF32 || up.dtype() != DType::kF32) {
    throw NotSupported(
        str("silu_mul: gate is ", gate.dtype(), ", up is ", up.dtype(), ", needs f32"));
  }
  const bool recorded = autograd::recording({gate, up});
  const auto* g = gate.data<float>();
  const auto* u = up.data<float>();
  Tensor y = autograd::reuse_or_new(std::move(gate), recorded);
  float* const to = y.mutable_data<float>();
  const SiluMulKernel& kernel = kernel_of(*y.device());
  y.device()->threads().parallel_for(y.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernel.forward(g + begin, u + begin, to + begin, end - begin);
  });

  if (!recorded) return y;
  auto backward = [gate = gate.detach(), up = up.detach(), &kernel](const Tensor& dy,
                                                                    autograd::GradientSink& sink) {
    Tensor dgate = sink.needs(0) ? empty_like(gate) : Tensor();
    Tensor dup = sink.needs(1) ? empty_like(up) : Tensor();
    float* to_gate = dgate.defined() ? dgate.mutable_data<float>() : nullptr;
    float* to_up = dup.defined() ? dup.mutable_data<float>() : nullptr;
    const auto* from = dy.data<float>();
    const auto* g_saved = gate.data<float>();
    const auto* u_saved = up.data<float>();
    gate.device()->threads().parallel_for(gate.numel(), kGrain, [&](int64_t begin, int64_t end) {
      kernel.backward(from + begin, g_saved + begin, u_saved + begin,
                      to_gate != nullptr ? to_gate + begin : nullptr,
                      to_up != nullptr ? to_up + begin : nullptr, end - begin);
    });
    if (dgate.defined()) sink.add(0, dgate);
    if (dup.defined()) sink.add(1, dup);
  };
  return autograd::record("silu_mul", {gate, up}, y, std::move(backward));
}

void silu_mul_here(const Device& device, float* gate, const float* up, int64_t n) {
  kernel_of(device).forward(gate, up, gate, n);
}

}  // namespace corral::ops
