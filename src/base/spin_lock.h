#pragma once

#include <atomic>
#include <thread>

namespace corral {

/// A lock for a few instructions, cheaper than a mutex when nobody else holds it. Whoever waits
/// gives way to other threads, so that a holder without a processor gets one.
class SpinLock {
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) {
      while (held_.load(std::memory_order_relaxed)) std::this_thread::yield();
    }
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

}  // namespace corral
