#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace corral::train {

double learning_rate(const ScheduleOptions& options, double peak, int64_t step, int64_t steps) {
  const int64_t warmup = options.warmup_steps;
  if (step < warmup) {
    return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
  }
  const auto between = [&](double shape) {
    return peak * (options.final_fraction + (1 - options.final_fraction) * shape);
  };
  if (options.kind == ScheduleKind::kConstant) return peak;
  if (options.kind == ScheduleKind::kCosine) {
    const double x = static_cast<double>(step - warmup) /
                     static_cast<double>(std::max<int64_t>(steps - warmup, 1));
    return between(0.5 * (1 + std::cos(std::numbers::pi * std::min(x, 1.0))));
  }
  const auto decay_steps =
      static_cast<int64_t>(std::llround(options.decay_fraction * static_cast<double>(steps)));
  const int64_t begin = std::max(warmup, steps - decay_steps);
  if (step < begin) return peak;
  const double x = static_cast<double>(step - begin + 1) /
                   static_cast<double>(std::max(steps, step + 1) - begin + 1);
  return between(options.decay == DecayShape::kLinear ? 1 - x : 1 - std::sqrt(x));
}

}  // namespace corral::train
