#include "ops/rms_norm/rms_norm_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

/// Sum of a[d] * b[d], or of a[d] * b[d] * c[d] with kThree. Four chains hide the latency.
template <bool kThree>
float dot(const float* a, const float* b, const float* c, int64_t D) {
  F32 sums[4] = {};
  const auto product = [&](int64_t d) {
    return kThree ? v::load(b + d) * v::load(c + d) : v::load(b + d);
  };
  int64_t d = 0;
  for (; d + 4 * v::kLanes <= D; d += 4 * v::kLanes) {
    for (int i = 0; i < 4; ++i) {
      const int64_t at = d + i * v::kLanes;
      sums[i] = v::fma(v::load(a + at), product(at), sums[i]);
    }
  }
  for (; d + v::kLanes <= D; d += v::kLanes) sums[0] = v::fma(v::load(a + d), product(d), sums[0]);
  float sum = v::sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; d < D; ++d) sum = v::fma(a[d], kThree ? b[d] * c[d] : b[d], sum);
  return sum;
}

void forward(const float* x, const float* w, float eps, float* y, float* r, int64_t rows,
             int64_t D) {
  for (int64_t n = 0; n < rows; ++n, x += D, y += D) {
    const float mean = dot<false>(x, x, nullptr, D) / static_cast<float>(D);
    const float scale = 1.0f / __builtin_sqrtf(mean + eps);
    if (r != nullptr) r[n] = scale;
    int64_t d = 0;
    for (; d + v::kLanes <= D; d += v::kLanes) {
      const F32 normed = v::load(x + d) * scale;
      v::store(y + d, w != nullptr ? normed * v::load(w + d) : normed);
    }
    for (; d < D; ++d) y[d] = w != nullptr ? x[d] * scale * w[d] : x[d] * scale;
  }
}

/// dx = r * (g - x * r^2 * mean_d(g * x)) with g = dy * w.
void row_dx(const float* dy, const float* x, const float* w, float r, float* dx, int64_t D) {
  const float sum = w != nullptr ? dot<true>(dy, x, w, D) : dot<false>(dy, x, nullptr, D);
  const float slope = -r * r * r * sum / static_cast<float>(D);
  int64_t d = 0;
  for (; d + v::kLanes <= D; d += v::kLanes) {
    const F32 g = w != nullptr ? v::load(dy + d) * v::load(w + d) : v::load(dy + d);
    v::store(dx + d, v::fma(v::load(x + d), v::set1(slope), g * r));
  }
  for (; d < D; ++d) dx[d] = v::fma(x[d], slope, (w != nullptr ? dy[d] * w[d] : dy[d]) * r);
}

void backward(const float* dy, const float* x, const float* w, const float* r, float* dx, float* dw,
              int64_t rows, int64_t D) {
  if (dw != nullptr) std::memset(dw, 0, static_cast<size_t>(D) * sizeof(float));
  for (int64_t n = 0; n < rows; ++n, dy += D, x += D) {
    if (dx != nullptr) {
      row_dx(dy, x, w, r[n], dx, D);
      dx += D;
    }
    if (dw == nullptr) continue;
    int64_t d = 0;
    for (; d + v::kLanes <= D; d += v::kLanes) {
      v::store(dw + d, v::fma(v::load(dy + d), v::load(x + d) * r[n], v::load(dw + d)));
    }
    for (; d < D; ++d) dw[d] = v::fma(dy[d], x[d] * r[n], dw[d]);
  }
}

}  // namespace

const RmsNormKernel kRmsNorm = {forward, backward};

}  // namespace corral::ops::CORRAL_ISA
