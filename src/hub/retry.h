#pragma once

#include <optional>
#include <string>

#include "hub/http.h"
#include "hub/pull.h"

namespace corral::hub {

/// When to try again. Waits double; a server's Retry-After counts instead, up to two minutes.
class Retry {
 public:
  Retry(const PullOptions& options, const std::atomic<bool>* cancel)
      : options_(options), cancel_(cancel) {}

  /// Waits. Throws Error with `why` when there were enough attempts, Cancelled when asked to stop.
  void wait(const std::string& why, std::optional<double> server_seconds = {});
  /// Something arrived: the connection works.
  void progressed() { failed_ = 0; }

 private:
  const PullOptions& options_;
  const std::atomic<bool>* cancel_;
  int failed_ = 0;
};

/// May the same request succeed later?
bool is_worth_retrying(int64_t status);

/// Throws Error that says what the status means and what to do.
[[noreturn]] void fail_with_status(const PullOptions& options, const HttpResponse& response);

/// A small answer of the hub, with all retries; its status is 200.
HttpResponse get_answer(HttpClient& client, const PullOptions& options, const std::string& url);

}  // namespace corral::hub
