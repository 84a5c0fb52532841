#include "ops/add_bias/add_bias_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;

void add_row(const float* a, const float* b, float* y, int64_t D) {
  int64_t d = 0;
  for (; d + v::kLanes <= D; d += v::kLanes) v::store(y + d, v::load(a + d) + v::load(b + d));
  for (; d < D; ++d) y[d] = a[d] + b[d];
}

void forward(const float* x, const float* b, float* y, int64_t rows, int64_t D) {
  for (int64_t n = 0; n < rows; ++n) add_row(x + n * D, b, y + n * D, D);
}

void sum_rows(const float* x, float* sum, int64_t rows, int64_t D) {
  std::memset(sum, 0, static_cast<size_t>(D) * sizeof(float));
  for (int64_t n = 0; n < rows; ++n) add_row(x + n * D, sum, sum, D);
}

}  // namespace

const AddBiasKernel kAddBias = {forward, sum_rows};

}  // namespace corral::ops::CORRAL_ISA
