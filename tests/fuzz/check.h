#pragma once

#include "base/error.h"

// What fuzz targets share. They accept an Error and nothing else.

namespace corral::test {

/// Ends the target where something that must hold does not.
inline void expect(bool right) {
  if (!right) __builtin_trap();
}

/// What LLVMFuzzerTestOneInput returns once `run` has read its input, or refused it.
template <class Run>
int read_or_refuse(const Run& run) {
  try {
    run();
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace corral::test
