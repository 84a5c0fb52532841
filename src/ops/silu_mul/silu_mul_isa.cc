#include "ops/silu_mul/silu_mul_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

F32 value(F32 gate, F32 up) { return gate * v::sigmoid(gate) * up; }

void forward(const float* gate, const float* up, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + v::kLanes <= n; i += v::kLanes) {
    v::store(y + i, value(v::load(gate + i), v::load(up + i)));
  }
  // The tail goes through the same vector code: an element's bits must not depend on its place.
  const int64_t rest = n - i;
  if (rest > 0) {
    v::store_partial(y + i, value(v::load_partial(gate + i, rest), v::load_partial(up + i, rest)),
                     rest);
  }
}

struct Gradients {
  F32 gate;
  F32 up;
};

Gradients gradients(F32 dy, F32 gate, F32 up) {
  const F32 s = v::sigmoid(gate);
  return {dy * up * s * (1.0f + gate * (1.0f - s)), dy * gate * s};
}

void backward(const float* dy, const float* gate, const float* up, float* dgate, float* dup,
              int64_t n) {
  int64_t i = 0;
  for (; i + v::kLanes <= n; i += v::kLanes) {
    const Gradients d = gradients(v::load(dy + i), v::load(gate + i), v::load(up + i));
    if (dgate != nullptr) v::store(dgate + i, d.gate);
    if (dup != nullptr) v::store(dup + i, d.up);
  }
  const int64_t rest = n - i;
  if (rest > 0) {
    const Gradients d = gradients(v::load_partial(dy + i, rest), v::load_partial(gate + i, rest),
                                  v::load_partial(up + i, rest));
    if (dgate != nullptr) v::store_partial(dgate + i, d.gate, rest);
    if (dup != nullptr) v::store_partial(dup + i, d.up, rest);
  }
}

}  // namespace

const SiluMulKernel kSiluMul = {forward, backward};

}  // namespace corral::ops::CORRAL_ISA
