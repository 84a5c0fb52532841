#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/scheduler.h"

namespace corral::engine {

/// A model that answers many requests at once, on a thread of its own. Thread-safe. The model must
/// outlive it.
class Engine {
 public:
  /// Throws as Scheduler does.
  Engine(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
         const SchedulerOptions& options, std::unique_ptr<Speculator> speculator = nullptr);
  /// Ends what runs, as cancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues a request and returns its id. Its sink hears about it on the engine's thread until
  /// on_end, which always comes. Throws UsageError for a request that can never be answered,
  /// Overloaded when max_waiting requests wait or the engine is draining.
  int64_t submit(Request request);
  /// Ends a request soon: the step that runs is the last. Ids of ended requests are ignored.
  void cancel(int64_t id);

  /// Takes no more requests.
  void drain();
  /// drain(), and waits until what was accepted has ended, at most this long. True when it has.
  bool drain_and_wait(Clock::duration limit);

  /// Runs this between two steps, on the engine's thread, and waits for it. Not from a sink. Throws
  /// what it throws; Overloaded when the engine is shutting down.
  void between_steps(const std::function<void(Scheduler&)>& work);

  /// The width of Request::embedding's vectors.
  int64_t embedding_width() const { return scheduler_.embedding_width(); }
  int64_t context_tokens() const { return scheduler_.context_tokens(); }
  /// As of the last step.
  SchedulerStats stats() const;

 private:
  void loop();
  bool take_inbox(std::unique_lock<std::mutex>& lock);

  int64_t max_waiting_;
  Scheduler scheduler_;  // the thread's own, but for check() and context_tokens()
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable became_idle_;
  std::vector<std::pair<int64_t, Request>> inbox_;
  std::vector<int64_t> cancelled_;
  std::vector<std::packaged_task<void(Scheduler&)>> work_;
  int64_t next_id_ = 1;
  bool draining_ = false;
  bool stopping_ = false;
  bool idle_ = true;
  SchedulerStats stats_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace corral::engine
