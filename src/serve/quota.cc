#include "serve/quota.h"

#include <algorithm>
#include <cmath>

namespace corral::serve {

Quota::Quota(const QuotaLimits& limits, Time now)
    : limits_(limits),
      requests_(static_cast<double>(limits.requests_per_minute)),
      tokens_(static_cast<double>(limits.tokens_per_minute)),
      filled_(now) {}

void Quota::fill(Time now) {
  const double minutes = std::max(0.0, std::chrono::duration<double>(now - filled_).count() / 60);
  const auto most_requests = static_cast<double>(limits_.requests_per_minute);
  const auto most_tokens = static_cast<double>(limits_.tokens_per_minute);
  requests_ = std::min(most_requests, requests_ + minutes * most_requests);
  tokens_ = std::min(most_tokens, tokens_ + minutes * most_tokens);
  filled_ = std::max(filled_, now);
}

std::optional<int64_t> Quota::admit(Time now) {
  const std::lock_guard lock(mutex_);
  fill(now);
  // Seconds until the bucket holds `need`.
  const auto wait = [](double level, double need, int64_t per_minute) {
    return per_minute == 0 ? 0.0
                           : std::max(0.0, need - level) * 60 / static_cast<double>(per_minute);
  };
  const double seconds = std::max(wait(requests_, 1, limits_.requests_per_minute),
                                  wait(tokens_, 1, limits_.tokens_per_minute));
  // What rounding left over is no second more.
  constexpr double kRounding = 1e-6;
  if (seconds > kRounding) return static_cast<int64_t>(std::ceil(seconds - kRounding));
  requests_ -= 1;
  return std::nullopt;
}

void Quota::spend_tokens(int64_t tokens, Time now) {
  const std::lock_guard lock(mutex_);
  fill(now);
  tokens_ -= static_cast<double>(tokens);
}

}  // namespace corral::serve
