#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace corral {
namespace {

// A decode step runs an op every few microseconds: waking a sleeping thread costs more than the op,
// so a member looks for work this many times before it sleeps.
constexpr int kSpins = 8192;

constexpr int kMaxThreads = 1024;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw UsageError(str("threads: got ", threads, ", needs 1 to ", kMaxThreads));
  }
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int member = 1; member < threads; ++member) {
      workers_.emplace_back([this, member] { work(member); });
    }
  } catch (const std::system_error& error) {
    const size_t started = workers_.size() + 1;
    stop();
    throw Error(str("threads: the system started only ", started, " of ", threads, " (",
                    error.code().message(), "): ask for fewer with -t"));
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::work(int member) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = epoch_.load(std::memory_order_acquire);
    for (int spin = 0; now == seen && spin < kSpins; ++spin) {
      pause_cpu();
      now = epoch_.load(std::memory_order_acquire);
    }
    if (now == seen) {
      epoch_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = now;
    if (stop_.load()) return;
    run_one(member);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void ThreadPool::run_one(int member) {
  try {
    (*body_)(member);
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void ThreadPool::run(const std::function<void(int)>& body) {
  bool idle = false;
  if (workers_.empty() || !busy_.compare_exchange_strong(idle, true)) {
    for (int member = 0; member < size(); ++member) body(member);
    return;
  }
  body_ = &body;
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  run_one(0);
  int left = running_.load(std::memory_order_acquire);
  for (int spin = 0; left != 0 && spin < kSpins; ++spin) {
    pause_cpu();
    left = running_.load(std::memory_order_acquire);
  }
  while (left != 0) {
    running_.wait(left, std::memory_order_acquire);
    left = running_.load(std::memory_order_acquire);
  }
  body_ = nullptr;
  const std::exception_ptr error = std::exchange(error_, nullptr);
  busy_.store(false);
  if (error) std::rethrow_exception(error);
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const int64_t parts =
      std::min<int64_t>(size(), std::max<int64_t>(1, n / std::max<int64_t>(1, grain)));
  if (parts == 1) return body(0, n);
  run([&](int member) {
    const int64_t begin = n * member / parts;
    const int64_t end = n * (member + 1) / parts;
    if (member < parts && begin < end) body(begin, end);
  });
}

int default_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace corral
