#include "ops/add/add.h"

#include "autograd/tape.h"
#include "ops/add/add_kernel.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 14;

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) throw ShapeError(str("add: a is ", a.shape(), ", b is ", b.shape()));
  if (a.dtype() != DType::kF32 || b.dtype() != DType::kF32) {
    throw NotSupported(str("add: a is ", a.dtype(), ", b is ", b.dtype(), ", needs f32"));
  }
  Tensor y = empty_like(a);
  const AddKernel& kernel =
      simd::choose(a.device()->isa(), portable::kAdd, avx2::kAdd, avx512::kAdd);
  const auto* from_a = a.data<float>();
  const auto* from_b = b.data<float>();
  auto* to = y.mutable_data<float>();
  a.device()->threads().parallel_for(a.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernel.forward(from_a + begin, from_b + begin, to + begin, end - begin);
  });
  return autograd::record("add", {a, b}, y, [](const Tensor& dy, autograd::GradientSink& sink) {
    sink.add(0, dy);
    sink.add(1, dy);
  });
}

}  // namespace corral::ops
