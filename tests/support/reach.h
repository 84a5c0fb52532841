#pragma once

#include "support/tensors.h"

namespace corral::test {

/// A device that has found out that reading far ahead is faster.
inline DevicePtr far_device(simd::Isa isa, int threads = 2) {
  DevicePtr device = test_device(isa, threads);
  ReadAhead& ahead = device->read_ahead();
  while (ahead.next(1).reach == Reach::kNear) {
    const ReadAhead::Turn turn = ahead.next(int64_t{1} << 30);
    ahead.took(turn, turn.reach == Reach::kNear ? 1.0 : 0.5);
  }
  return device;
}

}  // namespace corral::test
