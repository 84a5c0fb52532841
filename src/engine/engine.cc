#include "engine/engine.h"

#include <utility>

#include "base/error.h"

namespace corral::engine {

Engine::Engine(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
               const SchedulerOptions& options, std::unique_ptr<Speculator> speculator)
    : max_waiting_(options.max_waiting),
      scheduler_(model, std::move(tokenizer), options, std::move(speculator)),
      stats_(scheduler_.stats()) {
  thread_ = std::thread([this] { loop(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

int64_t Engine::submit(Request request) {
  scheduler_.check(request);
  const std::lock_guard lock(mutex_);
  if (draining_) throw Overloaded("the server is shutting down");
  if (stats_.waiting + static_cast<int64_t>(inbox_.size()) >= max_waiting_) {
    throw Overloaded(str(max_waiting_, " requests wait already: try again later"));
  }
  const int64_t id = next_id_++;
  inbox_.emplace_back(id, std::move(request));
  idle_ = false;
  wake_.notify_one();
  return id;
}

void Engine::cancel(int64_t id) {
  const std::lock_guard lock(mutex_);
  cancelled_.push_back(id);
  wake_.notify_one();
}

void Engine::between_steps(const std::function<void(Scheduler&)>& work) {
  std::packaged_task<void(Scheduler&)> task(work);
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) throw Overloaded("the server is shutting down");
    work_.push_back(std::move(task));
    wake_.notify_one();
  }
  done.get();
}

void Engine::drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

bool Engine::drain_and_wait(Clock::duration limit) {
  drain();
  std::unique_lock lock(mutex_);
  return became_idle_.wait_for(lock, limit, [this] { return idle_; });
}

SchedulerStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  SchedulerStats stats = stats_;
  stats.waiting += static_cast<int64_t>(inbox_.size());
  return stats;
}

// Moves what came in to the scheduler, waiting for something to do if there is nothing. False:
// stop.
bool Engine::take_inbox(std::unique_lock<std::mutex>& lock) {
  if (scheduler_.idle() && inbox_.empty() && work_.empty()) {
    idle_ = true;
    became_idle_.notify_all();
    wake_.wait(lock, [this] { return stopping_ || !inbox_.empty() || !work_.empty(); });
  }
  for (auto& [id, request] : inbox_) scheduler_.add(id, std::move(request));
  inbox_.clear();
  const std::vector<int64_t> cancelled = std::exchange(cancelled_, {});
  auto work = std::exchange(work_, {});
  const bool stopping = stopping_;
  stats_.waiting = scheduler_.stats().waiting;
  lock.unlock();
  for (const int64_t id : cancelled) scheduler_.cancel(id);
  for (auto& task : work) task(scheduler_);
  return !stopping;
}

void Engine::loop() {
  while (true) {
    std::unique_lock lock(mutex_);
    if (!take_inbox(lock)) break;
    try {
      scheduler_.step();
    } catch (const std::exception& error) {
      scheduler_.fail_all(error.what());
    }
    SchedulerStats stats = scheduler_.stats();
    lock.lock();
    stats_ = std::move(stats);
  }
  scheduler_.fail_all("the server is shutting down");
}

}  // namespace corral::engine
