#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

namespace corral::serve {

/// What one client may use; 0: as much as it likes.
struct QuotaLimits {
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;  // of prompts and answers together
  bool operator==(const QuotaLimits&) const = default;
};

/// Two buckets that fill steadily up to a minute's worth: each request takes one from the first
/// and, when it has ended, its tokens from the second, which may go below zero; nobody is admitted
/// before it has filled again. Times are steady, so setting the clock changes nothing. Thread-safe.
class Quota {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Quota(const QuotaLimits& limits, Time now);

  /// Takes a request. Absent: it may go on; else the seconds after which it would.
  std::optional<int64_t> admit(Time now);
  void spend_tokens(int64_t tokens, Time now);
  const QuotaLimits& limits() const { return limits_; }

 private:
  void fill(Time now);

  QuotaLimits limits_;
  std::mutex mutex_;
  double requests_;
  double tokens_;
  Time filled_;
};

}  // namespace corral::serve
