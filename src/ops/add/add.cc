#include "ops/add/add.h"

#include <utility>

#include "autograd/tape.h"
#include "ops/add/add_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 14;

}  // namespace

Tensor add(Tensor a, const Tensor& b) {
  if (a.shape() != b.shape()) throw ShapeError(str("add: a is ", a.shape(), ", b is ", b.shape()));
  if (a.dtype() != DType::kF32 || b.dtype() != DType::kF32) {
    throw NotSupported(str("add: a is ", a.dtype(), ", b is ", b.dtype(), ", needs f32"));
  }
  const bool recorded = autograd::recording({a, b});
  const auto* from_a = a.data<float>();
  const auto* from_b = b.data<float>();
  Tensor y = autograd::reuse_or_new(std::move(a), recorded);
  Device& device = *y.device();
  const AddKernel& kernel = simd::choose(device.isa(), portable::kAdd, avx2::kAdd, avx512::kAdd);
  auto* to = y.mutable_data<float>();
  device.threads().parallel_for(y.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernel.forward(from_a + begin, from_b + begin, to + begin, end - begin);
  });
  if (!recorded) return y;
  return autograd::record("add", {a, b}, y, [](const Tensor& dy, autograd::GradientSink& sink) {
    sink.add(0, dy);
    sink.add(1, dy);
  });
}

}  // namespace corral::ops
