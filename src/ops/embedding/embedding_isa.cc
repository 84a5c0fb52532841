#include "ops/embedding/embedding_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;

void widen_f16(const uint16_t* x, float* y, int64_t D) {
  int64_t d = 0;
  for (; d + v::kLanes <= D; d += v::kLanes) v::store(y + d, v::load_f16(x + d));
  for (; d < D; ++d) y[d] = v::f16_to_f32(x[d]);
}

void widen_bf16(const uint16_t* x, float* y, int64_t D) {
  int64_t d = 0;
  for (; d + v::kLanes <= D; d += v::kLanes) v::store(y + d, v::load_bf16(x + d));
  for (; d < D; ++d) y[d] = v::bf16_to_f32(x[d]);
}

void accumulate(const float* x, float* sum, int64_t D) {
  int64_t d = 0;
  for (; d + v::kLanes <= D; d += v::kLanes) v::store(sum + d, v::load(sum + d) + v::load(x + d));
  for (; d < D; ++d) sum[d] += x[d];
}

}  // namespace

const EmbeddingKernel kEmbedding = {widen_f16, widen_bf16, accumulate};

}  // namespace corral::ops::CORRAL_ISA
