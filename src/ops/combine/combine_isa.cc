#include "ops/combine/combine_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

void copy_row(const float* from, float* to, int64_t D) {
  std::memcpy(to, from, static_cast<size_t>(D) * sizeof(float));
}

/// The elements of a token from d on that a T holds.
template <class T>
inline void combine_at(const float* shared, const float* rows, const int32_t* row, int64_t K,
                       int64_t D, int64_t d, float* y) {
  T sum = v::load<T>(rows + row[0] * D + d);
  for (int64_t k = 1; k < K; ++k) sum += v::load<T>(rows + row[k] * D + d);
  v::store(y + d, v::load<T>(shared + d) + sum);
}

void forward(const float* shared, const float* rows, const int32_t* row_of_token, int64_t K,
             int64_t D, float* y, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const int32_t* row = row_of_token + t * K;
    int64_t d = 0;
    for (; d + v::kLanes <= D; d += v::kLanes) {
      combine_at<F32>(shared + t * D, rows, row, K, D, d, y + t * D);
    }
    for (; d < D; ++d) combine_at<float>(shared + t * D, rows, row, K, D, d, y + t * D);
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
