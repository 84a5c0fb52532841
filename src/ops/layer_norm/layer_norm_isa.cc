#include "ops/layer_norm/layer_norm_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

namespace v = simd::CORRAL_ISA;
using v::F32;

/// Sum over d of term(d), a vector or a float at a time. Four chains hide the latency.
template <class Vector, class Scalar>
float sum_over(int64_t D, Vector vector_term, Scalar scalar_term) {
  F32 sums[4] = {};
  int64_t d = 0;
  for (; d + 4 * v::kLanes <= D; d += 4 * v::kLanes) {
    for (int i = 0; i < 4; ++i) sums[i] += vector_term(d + i * v::kLanes);
  }
  for (; d + v::kLanes <= D; d += v::kLanes) sums[0] += vector_term(d);
  float sum = v::sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; d < D; ++d) sum += scalar_term(d);
  return sum;
}

void forward(const float* x, const float* w, const float* b, float eps, float* y, float* mean,
             float* r, int64_t rows, int64_t D) {
  const auto size = static_cast<float>(D);
  for (int64_t n = 0; n < rows; ++n, x += D, y += D) {
    const float sum = sum_over(
        D, [&](int64_t d) { return v::load(x + d); }, [&](int64_t d) { return x[d]; });
    const float m = sum / size;
    const auto squared = [m](auto value) { return (value - m) * (value - m); };
    const float variance = sum_over(
                               D, [&](int64_t d) { return squared(v::load(x + d)); },
                               [&](int64_t d) { return squared(x[d]); }) /
                           size;
    const float scale = 1.0f / __builtin_sqrtf(variance + eps);
    mean[n] = m;
    r[n] = scale;
    int64_t d = 0;
    for (; d + v::kLanes <= D; d += v::kLanes) {
      v::store(y + d, v::fma((v::load(x + d) - m) * scale, v::load(w + d), v::load(b + d)));
    }
    for (; d < D; ++d) y[d] = v::fma((x[d] - m) * scale, w[d], b[d]);
  }
}

void input_gradient(const float* dy, const float* x, const float* w, const float* mean,
                    const float* r, float* dx, int64_t rows, int64_t D) {
  const auto size = static_cast<float>(D);
  for (int64_t n = 0; n < rows; ++n, dy += D, x += D, dx += D) {
    const float m = mean[n];
    const float scale = r[n];
    const float sum_g = sum_over(
                            D, [&](int64_t d) { return v::load(dy + d) * v::load(w + d); },
                            [&](int64_t d) { return dy[d] * w[d]; }) /
                        size;
    const float sum_gx =
        sum_over(
            D,
            [&](int64_t d) {
              return v::load(dy + d) * v::load(w + d) * ((v::load(x + d) - m) * scale);
            },
            [&](int64_t d) { return dy[d] * w[d] * ((x[d] - m) * scale); }) /
        size;
    const auto value = [&](auto g, auto xn) { return (g - sum_g - xn * sum_gx) * scale; };
    int64_t d = 0;
    for (; d + v::kLanes <= D; d += v::kLanes) {
      v::store(dx + d, value(v::load(dy + d) * v::load(w + d), (v::load(x + d) - m) * scale));
    }
    for (; d < D; ++d) dx[d] = value(dy[d] * w[d], (x[d] - m) * scale);
  }
}

void weight_gradient(const float* dy, const float* x, const float* mean, const float* r, float* dw,
                     float* db, int64_t rows, int64_t D) {
  std::memset(dw, 0, static_cast<size_t>(D) * sizeof(float));
  std::memset(db, 0, static_cast<size_t>(D) * sizeof(float));
  for (int64_t n = 0; n < rows; ++n, dy += D, x += D) {
    const float m = mean[n];
    const float scale = r[n];
    int64_t d = 0;
    for (; d + v::kLanes <= D; d += v::kLanes) {
      const F32 gradient = v::load(dy + d);
      v::store(dw + d, v::fma(gradient, (v::load(x + d) - m) * scale, v::load(dw + d)));
      v::store(db + d, v::load(db + d) + gradient);
    }
    for (; d < D; ++d) {
      dw[d] = v::fma(dy[d], (x[d] - m) * scale, dw[d]);
      db[d] += dy[d];
    }
  }
}

}  // namespace

const LayerNormKernel kLayerNorm = {forward, input_gradient, weight_gradient};

}  // namespace corral::ops::CORRAL_ISA
