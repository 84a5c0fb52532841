#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace corral {

/// A fixed team of threads for the kernels. The calling thread is member 0, so a pool of one starts
/// no thread. Work is split statically: the same size and thread count give the same split, and
/// no kernel may let its result depend on the split (docs/decisions/0002).
class ThreadPool {
 public:
  /// threads from 1 to 1024; throws UsageError otherwise, and Error when the system has no more.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(begin, end) on disjoint ranges that cover [0, n), at most one a thread and none
  /// shorter than grain unless n is. Returns when all are done. The first exception thrown by a
  /// body is rethrown here. A call from inside a body runs serially.
  void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

  /// Calls body(member) once for each of the team's members, at the same time. A call from inside a
  /// body runs all members in turn on the calling thread, so members must not wait for one another.
  void run(const std::function<void(int)>& body);

 private:
  void stop();
  void work(int member);
  void run_one(int member);

  std::vector<std::thread> workers_;
  const std::function<void(int)>* body_ = nullptr;
  std::atomic<uint32_t> epoch_{0};
  std::atomic<int> running_{0};
  std::atomic<bool> busy_{false};
  std::atomic<bool> stop_{false};
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

/// The thread count used when nobody asks: the processors this process may run on.
int default_threads();

}  // namespace corral
