#include "hub/retry.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "hub/hub_errors.h"
#include "hub/url.h"

namespace corral::hub {
namespace {

constexpr double kLongestWaitSeconds = 60;
constexpr double kLongestServerWaitSeconds = 120;
constexpr auto kSlice = std::chrono::milliseconds(20);

}  // namespace

void Retry::wait(const std::string& why, std::optional<double> server_seconds) {
  if (++failed_ >= options_.attempts) {
    throw Error(str(why, " (tried ", failed_,
                    " times; `corral pull` goes on from here when it is run again)"));
  }
  const double doubled = options_.first_wait_seconds * std::pow(2.0, failed_ - 1);
  const double seconds = server_seconds ? std::min(*server_seconds, kLongestServerWaitSeconds)
                                        : std::min(doubled, kLongestWaitSeconds);
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  do {
    if (cancel_ != nullptr && cancel_->load()) throw Cancelled("stopped");
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(kSlice, until - std::chrono::steady_clock::now()));
  } while (std::chrono::steady_clock::now() < until);
}

bool is_worth_retrying(int64_t status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501);
}

void fail_with_status(const PullOptions& options, const HttpResponse& response) {
  const std::string what = str(for_display(response.url), ": the hub answers ", response.status);
  if (response.status == 401 || response.status == 403) {
    throw Error(str(what, options.token.empty()
                              ? ": it wants a token; put yours into HF_TOKEN"
                              : ": the token in HF_TOKEN may not read this repository; is its "
                                "license accepted on the hub's page?"));
  }
  if (response.status == 404) {
    throw Error(str(what, ": no repository ", options.repo, " with revision ", options.revision,
                    ", or a private one that needs HF_TOKEN"));
  }
  throw Error(what);
}

HttpResponse get_answer(HttpClient& client, const PullOptions& options, const std::string& url) {
  Retry retry(options, options.cancel);
  while (true) {
    try {
      HttpResponse response = client.get(url);
      if (response.status == 200) return response;
      if (!is_worth_retrying(response.status)) fail_with_status(options, response);
      retry.wait(str(for_display(url), ": the hub answers ", response.status),
                 response.retry_after_seconds());
    } catch (const TransferError& error) {
      retry.wait(error.what());
    }
  }
}

}  // namespace corral::hub
