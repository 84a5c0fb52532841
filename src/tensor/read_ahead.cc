#include "tensor/read_ahead.h"

#include <algorithm>
#include <mutex>

namespace corral {
namespace {

// Calls that read less come from caches, or end before it matters.
constexpr int64_t kLeastBytes = int64_t{8} << 20;
// Calls from one trial to the next: many in the beginning, then fewer.
constexpr int64_t kOften = 8;
constexpr int64_t kSeldom = 32;
// A trial counts for what it gains above the first, but no more than the second: others use the
// memory, too, and a call takes 8 % more or less than the one before it for no reason. So much in
// all, of which losses are taken away again, decides.
constexpr double kLeastGain = 0.005;
constexpr double kMostGain = 0.1;
constexpr double kDecides = 0.3;

Reach other(Reach reach) { return reach == Reach::kNear ? Reach::kFar : Reach::kNear; }

}  // namespace

ReadAhead::ReadAhead() : interval_(kOften) {}

ReadAhead::Turn ReadAhead::next(int64_t bytes) {
  const Reach taken = reach_.load(std::memory_order_relaxed);
  if (bytes < kLeastBytes) return {taken, false, -1};
  const std::lock_guard lock(lock_);
  const int kind = find_kind(bytes);
  const bool known = kinds_[static_cast<size_t>(kind)].before_seconds > 0;
  if (++calls_ < interval_ || !known) return {taken, false, kind};
  calls_ = 0;
  return {other(taken), true, kind};
}

int ReadAhead::find_kind(int64_t bytes) {
  const auto same = std::find_if(kinds_.begin(), kinds_.end(),
                                 [&](const Kind& kind) { return kind.bytes == bytes; });
  if (same != kinds_.end()) return static_cast<int>(same - kinds_.begin());
  const size_t place = next_kind_++ % kinds_.size();
  kinds_[place] = {.bytes = bytes};
  return static_cast<int>(place);
}

void ReadAhead::took(const Turn& turn, double seconds) {
  const std::lock_guard lock(lock_);
  Kind& kind = kinds_[static_cast<size_t>(turn.kind)];
  if (turn.trial) {
    kind.trial_seconds = seconds;
    return;
  }
  const double around = (kind.before_seconds + seconds) / 2;
  const double trial = kind.trial_seconds;
  kind.before_seconds = seconds;
  kind.trial_seconds = 0;
  if (trial > 0) judge(trial / around);  // and forgets all that, if it changes its mind
}

void ReadAhead::judge(double ratio) {
  interval_ = std::min(interval_ + 1, kSeldom);
  const double gain = std::clamp(1 - ratio - kLeastGain, -kMostGain, kMostGain);
  gains_ = std::max(0.0, gains_ + gain);
  if (gains_ < kDecides) return;
  gains_ = 0;
  reach_.store(other(reach_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  // What is kept of calls is of the other reach.
  for (Kind& kind : kinds_) kind.before_seconds = kind.trial_seconds = 0;
}

}  // namespace corral
