#pragma once

#include <cstdint>

namespace corral::train {

enum class ScheduleKind : uint8_t { kConstant, kCosine, kWsd };

/// How the last part of warmup-stable-decay falls; x runs from 0 to 1 over it.
enum class DecayShape : uint8_t { kLinear, kOneMinusSqrt };

/// The learning rate over a run. All kinds begin with a linear warmup.
struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kWsd;
  int64_t warmup_steps = 100;
  double decay_fraction = 0.2;  // kWsd: share of all steps that decay
  DecayShape decay = DecayShape::kLinear;
  double final_fraction = 0;  // of the peak, towards which cosine and decay fall
};

/// The learning rate of `step` (0 to steps - 1) of a run with this peak. The first step has
/// peak / warmup_steps, and the last is still above final_fraction * peak (so above 0): no step is
/// lost. The decay of kWsd never begins inside the warmup.
double learning_rate(const ScheduleOptions& options, double peak, int64_t step, int64_t steps);

}  // namespace corral::train
