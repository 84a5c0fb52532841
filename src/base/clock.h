#pragma once

#include <chrono>

namespace corral {

/// For durations, deadlines and rates: never set back or forward, unlike the time of day.
using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace corral
