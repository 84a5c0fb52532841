#include "ops/combine/combine_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

void copy_row(const float* from, float* to, int64_t D) {
  std::memcpy(to, from, static_cast<size_t>(D) * sizeof(float));
}

void forward(const float* rows, const int32_t* row_of_token, int64_t K, int64_t D, float* y,
             int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const int32_t* row = row_of_token + t * K;
    float* to = y + t * D;
    copy_row(rows + row[0] * D, to, D);
    for (int64_t k = 1; k < K; ++k) {
      const float* from = rows + row[k] * D;
      int64_t d = 0;
      for (; d + v::kLanes <= D; d += v::kLanes) {
        v::store(to + d, v::load(to + d) + v::load(from + d));
      }
      for (; d < D; ++d) to[d] += from[d];
    }
  }
}

void backward(const float* dy, const int32_t* row_of_token, int64_t K, int64_t D, float* drows,
              int64_t begin, int64_t end) {
  for (int64_t i = begin * K; i < end * K; ++i) {
    copy_row(dy + i / K * D, drows + row_of_token[i] * D, D);
  }
}

}  // namespace

const CombineKernel kCombine = {forward, backward};

}  // namespace corral::ops::CORRAL_ISA
