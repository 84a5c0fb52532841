#include "ops/attention_temperature/attention_temperature.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "autograd/tape.h"
#include "base/small_vector.h"

namespace corral::ops {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements

using Factors = SmallVector<float, 8>;

/// Row t of y = row t of x times factors[t].
void scale_rows(const float* x, const Factors& factors, Tensor& y) {
  const auto rows = static_cast<int64_t>(factors.size());
  const int64_t D = y.numel() / rows;
  auto* to = y.mutable_data<float>();
  y.device()->threads().parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, D)),
                                     [&](int64_t begin, int64_t end) {
                                       for (int64_t t = begin; t < end; ++t) {
                                         const float factor = factors[static_cast<size_t>(t)];
                                         for (int64_t d = t * D; d < (t + 1) * D; ++d)
                                           to[d] = x[d] * factor;
                                       }
                                     });
}

}  // namespace

float attention_temperature_factor(int64_t position, float attn_scale, float floor_scale) {
  const double steps =
      std::floor(static_cast<double>(position + 1) / static_cast<double>(floor_scale));
  return static_cast<float>(1 + static_cast<double>(attn_scale) * std::log1p(steps));
}

Tensor attention_temperature(Tensor q_THC, std::span<const int64_t> positions, float attn_scale,
                             float floor_scale) {
  if (q_THC.rank() == 0 || q_THC.dim(0) != static_cast<int64_t>(positions.size())) {
    throw ShapeError(str("attention_temperature: q is ", q_THC.shape(), ", got ", positions.size(),
                         " positions"));
  }
  if (q_THC.dtype() != DType::kF32) {
    throw NotSupported(str("attention_temperature: q is ", q_THC.dtype(), ", needs f32"));
  }
  if (!(floor_scale >= 1) || !std::isfinite(attn_scale)) {
    throw UsageError(str("attention_temperature: floor_scale ", floor_scale, ", attn_scale ",
                         attn_scale, "; needs at least 1 and a finite number"));
  }
  Factors factors;
  factors.reserve(positions.size());
  bool all_one = true;
  for (const int64_t position : positions) {
    if (position < 0) {
      throw UsageError(str("attention_temperature: position ", position, " is negative"));
    }
    factors.push_back(attention_temperature_factor(position, attn_scale, floor_scale));
    all_one = all_one && factors.back() == 1.0f;
  }
  if (all_one) return q_THC;
  const bool recorded = autograd::recording({q_THC});
  const float* q = q_THC.data<float>();
  Tensor y_THC = autograd::reuse_or_new(std::move(q_THC), recorded);
  scale_rows(q, factors, y_THC);
  if (!recorded) return y_THC;
  return autograd::record("attention_temperature", {q_THC}, y_THC,
                          [factors](const Tensor& dy_THC, autograd::GradientSink& sink) {
                            Tensor dq_THC = empty_like(dy_THC);
                            scale_rows(dy_THC.data<float>(), factors, dq_THC);
                            sink.add(0, dq_THC);
                          });
}

}  // namespace corral::ops
