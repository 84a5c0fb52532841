#pragma once

#include <atomic>

namespace corral::cli {

/// While alive, Ctrl-C (and SIGTERM) only sets a flag, so that long work can end cleanly. A second
/// signal ends the program at once. Not to be nested; afterwards signals end the program again.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const;
  /// For code that watches a flag of its own.
  const std::atomic<bool>& flag() const;
  void clear();
};

}  // namespace corral::cli
