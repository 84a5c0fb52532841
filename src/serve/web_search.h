#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "serve/http.h"

namespace corral::serve {

/// Searches the web for the chat page, through one SearXNG server. The page itself asks nobody but
/// this server. One search at a time; a few wait. Thread-safe.
class WebSearch {
 public:
  /// address: where the SearXNG server is, "http://127.0.0.1:8888". Throws UsageError for what is
  /// no http or https URL.
  explicit WebSearch(const std::string& address);
  /// Gives up what runs; what waits is answered with 503.
  ~WebSearch();
  WebSearch(const WebSearch&) = delete;
  WebSearch& operator=(const WebSearch&) = delete;

  /// Answers {"query"} with {"results": [{"title", "url", "content"}]}, on another thread; 502 when
  /// the search server does not. Calls ended with the status then. Throws ApiError 400 for a query
  /// that is missing, empty or longer than 500 bytes, 429 when too many wait.
  void answer(const HttpRequest& request, ResponderPtr responder,
              std::function<void(int status)> ended);

 private:
  struct Task {
    std::string query;
    ResponderPtr responder;
    std::function<void(int status)> ended;
  };
  void loop();
  void run(const Task& task) const;

  std::string address_;  // without a slash at its end
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> waiting_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;  // last: it uses the others
};

/// What a model and a person need of SearXNG's JSON: the first ten results, their texts shortened.
/// Throws CorruptFile when it is none.
std::string search_results(std::string_view searxng_json);

}  // namespace corral::serve
