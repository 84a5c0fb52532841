#include "base/thread_pool.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/cpu_topology.h"
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
  shares_ = std::vector<Share>(static_cast<size_t>(threads));
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
  call_.fetch_add(1);
  call_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::work(int member) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = call_.load(std::memory_order_acquire);
    for (int spin = 0; now == seen && spin < kSpins; ++spin) {
      pause_cpu();
      now = call_.load(std::memory_order_acquire);
    }
    if (now == seen) {
      call_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = now;
    if (stop_.load()) return;
    if (take(member, now)) do_share(member);
  }
}

/// False when somebody else has taken it, in this call or, for a thread that is late, in a later
/// one.
bool ThreadPool::take(int member, uint32_t call) {
  uint32_t before = call - 1;
  return shares_[static_cast<size_t>(member)].taken.compare_exchange_strong(
      before, call, std::memory_order_acq_rel);
}

void ThreadPool::do_share(int member) {
  try {
    (*body_)(member);
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
}

void ThreadPool::run(FunctionRef<void(int)> body) {
  bool idle = false;
  if (workers_.empty() || !busy_.compare_exchange_strong(idle, true)) {
    for (int member = 0; member < size(); ++member) body(member);
    return;
  }
  body_ = &body;
  unfinished_.store(size(), std::memory_order_relaxed);
  const uint32_t call = call_.fetch_add(1, std::memory_order_acq_rel) + 1;
  call_.notify_all();
  for (int member = 0; member < size(); ++member) {
    if (take(member, call)) do_share(member);
  }
  int left = unfinished_.load(std::memory_order_acquire);
  for (int spin = 0; left != 0 && spin < kSpins; ++spin) {
    pause_cpu();
    left = unfinished_.load(std::memory_order_acquire);
  }
  while (left != 0) {
    unfinished_.wait(left, std::memory_order_acquire);
    left = unfinished_.load(std::memory_order_acquire);
  }
  body_ = nullptr;
  const std::exception_ptr error = std::exchange(error_, nullptr);
  busy_.store(false);
  if (error) std::rethrow_exception(error);
}

int default_threads() {
  const auto cpus = cpus_to_compute_on(read_cpu_topology("/", allowed_cpus()));
  return std::min(static_cast<int>(cpus.size()), kMaxThreads);
}

}  // namespace corral
