#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace corral::serve {

/// Threads that do one thing after the other, so that the thread of the sockets never waits for a
/// tokenizer, a picture or a file. Thread-safe.
class Workers {
 public:
  /// threads: at least one.
  explicit Workers(int threads);
  /// Waits for what runs; what has not begun is dropped.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Does this soon. It must not throw.
  void post(std::function<void()> work);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace corral::serve
