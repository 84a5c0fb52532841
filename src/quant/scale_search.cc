#include "quant/scale_search.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "simd/isa.h"
#include "tensor/dtype.h"

namespace corral::quant {
namespace {

// Columns that calibration never saw still count a little.
constexpr float kLeastWeight = 1e-3f;
// Steps of the second round, relative to the scale.
constexpr float kScaleStep = 0.0125f;
constexpr float kOffsetStep = 0.15f;

struct Moments {
  double w = 0;
  double wx = 0;
  double wxx = 0;
};

Moments moments_of(const float* x, const float* w, int64_t n) {
  Moments sum;
  for (int64_t i = 0; i < n; ++i) {
    const auto weight = static_cast<double>(w[i]);
    const auto value = static_cast<double>(x[i]);
    sum.w += weight;
    sum.wx += weight * value;
    sum.wxx += weight * value * value;
  }
  return sum;
}

/// The trial whose own least-squares scale leaves the smallest error: that scale.
float best_scale(const TrialSums& sums, float otherwise) {
  double most = 0;
  float best = otherwise;
  for (int t = 0; t < kTrials; ++t) {
    const auto wxq = static_cast<double>(sums.wxq[t]);
    const auto wqq = static_cast<double>(sums.wqq[t]);
    if (wqq > 0 && wxq * wxq > most * wqq) {
      most = wxq * wxq / wqq;
      best = static_cast<float>(wxq / wqq);
    }
  }
  return best;
}

struct Solution {
  double scale = 0;
  double offset = 0;
  double gain = -1;  // of squared error against all zeros
};

Solution solve(const Moments& m, double wq, double wqq, double wxq, Offset allowed) {
  Solution s;
  const double determinant = m.w * wqq - wq * wq;
  if (determinant > 1e-9 * m.w * wqq) {
    s.scale = (m.w * wxq - wq * m.wx) / determinant;
    s.offset = (wqq * m.wx - wq * wxq) / determinant;
  }
  const bool forbidden = allowed == Offset::kNotPositive && s.offset > 0;
  if ((forbidden || s.scale <= 0) && wqq > 0) {
    s.scale = wxq / wqq;
    s.offset = 0;
  }
  if (s.scale > 0) s.gain = s.scale * wxq + s.offset * m.wx;
  return s;
}

Fit best_fit(const TrialSums& sums, const Moments& m, Offset allowed, Fit otherwise) {
  double most = 0;
  Fit best = otherwise;
  for (int t = 0; t < kTrials; ++t) {
    const Solution s = solve(m, static_cast<double>(sums.wq[t]), static_cast<double>(sums.wqq[t]),
                             static_cast<double>(sums.wxq[t]), allowed);
    if (s.gain > most) {
      most = s.gain;
      best = {static_cast<float>(s.scale), static_cast<float>(s.offset)};
    }
  }
  return best;
}

}  // namespace

CodeSet integer_codes(int lo, int hi) {
  return {.lo = static_cast<float>(lo), .hi = static_cast<float>(hi)};
}

BlockValues::BlockValues(std::string_view type, const float* x, const float* importance, int64_t n)
    : type_(type) {
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) throw Error(str(type, " cannot hold a value that is not finite"));
    largest_ = std::max(largest_, std::abs(x[i]));
  }
  if (largest_ > 0) unit_ = std::ldexp(1.0, std::ilogb(largest_));
  const double inverse = 1 / unit_;
  for (int64_t i = 0; i < n; ++i) x_[i] = static_cast<float>(static_cast<double>(x[i]) * inverse);
  set_weights(importance, n);
}

void BlockValues::set_weights(const float* importance, int64_t n) {
  std::fill_n(w_, n, 1.0f);
  if (importance == nullptr) return;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!(importance[i] >= 0) || !std::isfinite(importance[i])) {
      throw Error(str("an importance of ", importance[i], ": needs numbers from 0 on"));
    }
    sum += static_cast<double>(importance[i]);
  }
  if (sum == 0) return;
  const double scale = static_cast<double>(n) / sum;
  for (int64_t i = 0; i < n; ++i) {
    w_[i] = kLeastWeight + static_cast<float>(static_cast<double>(importance[i]) * scale);
  }
}

BlockValues::Half BlockValues::to_half(double scale) const {
  const uint16_t bits = f32_to_f16(static_cast<float>(scale * unit_));
  const float value = f16_to_f32(bits);
  if (!std::isfinite(value)) {
    throw Error(str(type_, " cannot hold values as large as ", largest_));
  }
  return {bits, static_cast<float>(static_cast<double>(value) / unit_)};
}

TrialSums score(const ScaleTask& task, const CodeSet& codes) {
  const ScaleSearchKernel& kernel = simd::choose(simd::detect_isa(), portable::kScaleSearch,
                                                 avx2::kScaleSearch, avx512::kScaleSearch);
  TrialSums sums;
  kernel.score(task, codes, sums);
  return sums;
}

float fit_scale(const float* x, const float* w, int64_t n, const CodeSet& codes) {
  float extreme = 0;
  for (int64_t i = 0; i < n; ++i) extreme = std::abs(x[i]) > std::abs(extreme) ? x[i] : extreme;
  if (extreme == 0) return 0;
  // The largest value near either end of the codes, a little outside or inside.
  ScaleTask task{.x = x, .w = w, .n = n, .scale = {}, .offset = {}};
  for (int t = 0; t < kTrials; ++t) {
    const float end = t % 2 == 0 ? codes.lo : codes.hi;
    task.scale[t] = extreme / (end * (0.8f + 0.05f * static_cast<float>(t / 2)));
  }
  const float first = best_scale(score(task, codes), extreme / codes.lo);
  for (int t = 0; t < kTrials; ++t) {
    task.scale[t] = first * (1 + kScaleStep * static_cast<float>(t - kTrials / 2));
  }
  return best_scale(score(task, codes), first);
}

Fit fit_scale_and_offset(const float* x, const float* w, int64_t n, int hi, Offset allowed) {
  float lowest = *std::min_element(x, x + n);
  const float highest = *std::max_element(x, x + n);
  if (allowed == Offset::kNotPositive) lowest = std::min(lowest, 0.0f);
  if (highest <= lowest) return {0, lowest};
  const CodeSet codes = integer_codes(0, hi);
  const Moments moments = moments_of(x, w, n);
  ScaleTask task{.x = x, .w = w, .n = n, .scale = {}, .offset = {}};
  for (int t = 0; t < kTrials; ++t) {
    const float steps = static_cast<float>(hi) + 0.125f * static_cast<float>(t - kTrials / 2);
    task.scale[t] = (highest - lowest) / steps;
    task.offset[t] = lowest;
  }
  const Fit start = {(highest - lowest) / static_cast<float>(hi), lowest};
  const Fit first = best_fit(score(task, codes), moments, allowed, start);
  for (int t = 0; t < kTrials; ++t) {
    task.scale[t] = first.scale * (1 + 2 * kScaleStep * static_cast<float>(t % 4 - 1));
    task.offset[t] = first.offset + kOffsetStep * first.scale * static_cast<float>(t / 4 - 1);
  }
  return best_fit(score(task, codes), moments, allowed, first);
}

int nearest_code(float x, float scale, float offset, const CodeSet& codes) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  const float t = (x - offset) * inverse;
  if (codes.values == nullptr) {
    return static_cast<int>(std::nearbyint(std::clamp(t, codes.lo, codes.hi)));
  }
  int index = 0;
  for (int i = 0; i < 15; ++i) index += t > codes.middles[i] ? 1 : 0;
  return index;
}

}  // namespace corral::quant
