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

// Shares that are not done when the caller's own is are mostly being done. To look whether one has
// been taken costs its thread a wait in the next call.
constexpr int kSpinsBeforeHelp = 64;

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
  call_.stop.store(true);
  call_.number.fetch_add(1);
  call_.number.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::work(int member) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = call_.number.load(std::memory_order_acquire);
    for (int spin = 0; now == seen && spin < kSpins; ++spin) {
      pause_cpu();
      now = call_.number.load(std::memory_order_acquire);
    }
    if (now == seen) {
      call_.sleepers.fetch_add(1);
      call_.number.wait(seen, std::memory_order_acquire);
      call_.sleepers.fetch_sub(1);
      continue;
    }
    seen = now;
    if (call_.stop.load()) return;
    if (!take(member, now)) continue;
    do_share(member);
    done_.shares.fetch_add(1);
    if (done_.caller_sleeps.load()) done_.shares.notify_one();
  }
}

/// False when somebody else has taken it, in this call or, for a thread that is late, in a later
/// one.
bool ThreadPool::take(int member, uint32_t call) {
  std::atomic<uint32_t>& taken = shares_[static_cast<size_t>(member)].taken;
  uint32_t before = call - 1;
  return taken.load(std::memory_order_relaxed) == before &&
         taken.compare_exchange_strong(before, call, std::memory_order_acq_rel);
}

void ThreadPool::do_share(int member) {
  try {
    (*call_.body)(member);
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

/// Those that nobody has taken yet. Returns their number.
uint32_t ThreadPool::do_late_shares(uint32_t call) {
  uint32_t count = 0;
  for (int member = 1; member < size(); ++member) {
    if (!take(member, call)) continue;
    do_share(member);
    ++count;
  }
  return count;
}

/// Whether so many shares are done by others than the caller, before it has looked so many times.
bool ThreadPool::others_are_done(uint32_t done, int spins) const {
  for (int spin = 0; spin < spins; ++spin) {
    if (done_.shares.load(std::memory_order_acquire) == done) return true;
    pause_cpu();
  }
  return false;
}

/// Until so many are done.
void ThreadPool::sleep_until_done(uint32_t done) {
  // Who sees this has counted before, or counts now and wakes: both in one order for all.
  done_.caller_sleeps.store(true);
  for (uint32_t now = done_.shares.load(); now != done; now = done_.shares.load()) {
    done_.shares.wait(now);
  }
  done_.caller_sleeps.store(false);
}

void ThreadPool::run(FunctionRef<void(int)> body) {
  bool idle = false;
  if (workers_.empty() || !busy_.compare_exchange_strong(idle, true)) {
    for (int member = 0; member < size(); ++member) body(member);
    return;
  }
  const uint32_t done_before = done_.shares.load(std::memory_order_relaxed);
  const uint32_t call = call_.number.load(std::memory_order_relaxed) + 1;
  call_.body = &body;
  call_.number.store(call, std::memory_order_release);
  // One that falls asleep at this moment may be missed. Its share is then done here.
  if (call_.sleepers.load(std::memory_order_relaxed) != 0) call_.number.notify_all();
  do_share(0);
  uint32_t done = done_before + static_cast<uint32_t>(workers_.size());
  if (!others_are_done(done, kSpinsBeforeHelp)) {
    done -= do_late_shares(call);
    if (!others_are_done(done, kSpins)) sleep_until_done(done);
  }
  const std::exception_ptr error = std::exchange(error_, nullptr);
  busy_.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

int default_threads() {
  const auto cpus = cpus_to_compute_on(read_cpu_topology("/", allowed_cpus()));
  return std::min(static_cast<int>(cpus.size()), kMaxThreads);
}

}  // namespace corral
