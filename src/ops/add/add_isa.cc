#include "ops/add/add_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;

void forward(const float* a, const float* b, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + v::kLanes <= n; i += v::kLanes) v::store(y + i, v::load(a + i) + v::load(b + i));
  for (; i < n; ++i) y[i] = a[i] + b[i];
}

}  // namespace

const AddKernel kAdd = {forward};

}  // namespace corral::ops::CORRAL_ISA
