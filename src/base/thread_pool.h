#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace corral {

/// A fixed team of threads for the kernels. The calling thread is member 0, so a pool of one starts
/// no thread. Work is split statically: the same size and thread count give the same split, and
/// no kernel may let its result depend on the split (docs/decisions/0002). Which thread does a
/// member's share is open: the caller does those of threads that the system has not woken in time,
/// so a busy machine makes a call no slower than one thread would be.
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
  template <class Body>
  void parallel_for(int64_t n, int64_t grain, const Body& body) {
    if (n <= 0) return;
    const int64_t parts =
        std::min<int64_t>(size(), std::max<int64_t>(1, n / std::max<int64_t>(1, grain)));
    if (parts == 1) {
      body(int64_t{0}, n);
      return;
    }
    run([&](int member) {
      const int64_t begin = n * member / parts;
      const int64_t end = n * (member + 1) / parts;
      if (member < parts && begin < end) body(begin, end);
    });
  }

  /// Calls body(member) once for each of the team's members, on as many threads at the same time as
  /// the system gives. Members must not wait for one another: a thread may do several in turn, and
  /// a call from inside a body does all of them on the calling thread.
  void run(FunctionRef<void(int)> body);

 private:
  /// The number of the last call in which a member's share was taken.
  struct alignas(64) Share {
    std::atomic<uint32_t> taken{0};
  };
  // Lines that several threads write are what a call waits for: each is touched as rarely as can
  // be.
  /// A call, for those who wait for one.
  struct alignas(64) Call {
    std::atomic<uint32_t> number{0};
    std::atomic<int32_t> sleepers{0};
    const FunctionRef<void(int)>* body = nullptr;
    std::atomic<bool> stop{false};
  };
  /// How many shares others than the caller have done, in all calls.
  struct alignas(64) Done {
    std::atomic<uint32_t> shares{0};
    std::atomic<bool> caller_sleeps{false};
  };

  void stop();
  void work(int member);
  bool take(int member, uint32_t call);
  void do_share(int member);
  uint32_t do_late_shares(uint32_t call);
  bool others_are_done(uint32_t done, int spins) const;
  void sleep_until_done(uint32_t done);

  std::vector<std::thread> workers_;
  std::vector<Share> shares_;
  std::atomic<bool> busy_{false};
  std::exception_ptr error_;
  std::mutex error_mutex_;
  Call call_;
  Done done_;
};

/// The thread count used when nobody asks: the processors this process may run on.
int default_threads();

}  // namespace corral
