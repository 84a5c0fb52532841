#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/spin_lock.h"

namespace corral {

/// How far before they are multiplied weights are asked for.
enum class Reach : uint8_t { kNear, kFar };

/// Chooses the reach of products of single rows, which wait for memory. Far is the faster one where
/// each processor has a way to memory of its own, near where they share one; it is 2 to 10 % each
/// way, and a virtual machine goes from one to the other within minutes (docs/performance-zen5.md,
/// *Near and far*). So both are tried while products are computed: once in a while a call reads the
/// other way and is compared with the calls before and behind it that read as much, until it is
/// plain that this would be faster; then it is taken. Thread-safe; calls at the same time only make
/// it choose later, or worse.
class ReadAhead {
 public:
  ReadAhead();

  /// How a call reads.
  struct Turn {
    Reach reach;
    bool trial;  // other than what is taken
    int kind;    // of calls that read as much; -1 where time is not taken
  };
  /// The next call reads so many bytes of weights.
  Turn next(int64_t bytes);
  /// It took so long.
  void took(const Turn& turn, double seconds);

  /// A call, as long as the object lives.
  class Call {
   public:
    Call(ReadAhead& ahead, int64_t bytes) : ahead_(ahead), turn_(ahead.next(bytes)) {
      if (turn_.kind >= 0) begin_ = Clock::now();
    }
    ~Call() {
      if (turn_.kind >= 0) ahead_.took(turn_, seconds_since(begin_));
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Reach reach() const { return turn_.reach; }

   private:
    ReadAhead& ahead_;
    Turn turn_;
    Clock::time_point begin_;
  };

 private:
  /// What calls of a kind took: the last one that read as is taken, and a trial behind it.
  struct Kind {
    int64_t bytes = 0;
    double before_seconds = 0;
    double trial_seconds = 0;
  };

  int find_kind(int64_t bytes);
  void judge(double ratio);

  std::atomic<Reach> reach_{Reach::kNear};
  SpinLock lock_;
  std::array<Kind, 8> kinds_;
  size_t next_kind_ = 0;
  int64_t calls_ = 0;  // since the last trial
  int64_t interval_;   // calls from one trial to the next
  double gains_ = 0;   // of trials, less their losses, since these were as much
};

}  // namespace corral
