#include "base/thread_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/error.h"

namespace corral {
namespace {

using Range = std::pair<int64_t, int64_t>;

std::set<Range> split(ThreadPool& pool, int64_t n, int64_t grain) {
  std::mutex mutex;
  std::set<Range> ranges;
  pool.parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(ranges.emplace(begin, end).second);
  });
  return ranges;
}

class ThreadPoolSizes : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolSizes, RangesCoverEverythingOnceAndAreNotShorterThanTheGrain) {
  ThreadPool pool(GetParam());
  for (const int64_t n : {1, 2, 3, 7, 64, 1000, 1001}) {
    for (const int64_t grain : {1, 5, 100, 5000}) {
      const std::set<Range> ranges = split(pool, n, grain);
      EXPECT_LE(static_cast<int>(ranges.size()), pool.size());
      int64_t next = 0;
      for (const auto& range : ranges) {
        EXPECT_EQ(range.first, next);
        EXPECT_GE(range.second - range.first, std::min(n, grain)) << n << " by " << grain;
        next = range.second;
      }
      EXPECT_EQ(next, n);
    }
  }
}

TEST_P(ThreadPoolSizes, TheSameCallGivesTheSameSplit) {
  ThreadPool pool(GetParam());
  const std::set<Range> first = split(pool, 1003, 10);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(split(pool, 1003, 10), first);
}

TEST_P(ThreadPoolSizes, RunCallsEveryMemberOnce) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<int>> calls(static_cast<size_t>(pool.size()));
  pool.run([&](int member) { ++calls.at(static_cast<size_t>(member)); });
  for (const auto& count : calls) EXPECT_EQ(count.load(), 1);
}

TEST_P(ThreadPoolSizes, AnExceptionReachesTheCallerAndThePoolGoesOn) {
  ThreadPool pool(GetParam());
  const auto fail = [](int64_t, int64_t) { throw ShapeError("as asked"); };
  for (int i = 0; i < 50; ++i) EXPECT_THROW(pool.parallel_for(100, 1, fail), ShapeError);
  std::atomic<int64_t> sum = 0;
  pool.parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
  EXPECT_EQ(sum.load(), 100);
}

TEST_P(ThreadPoolSizes, ACallFromInsideABodyRunsSeriallyInPlace) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> sum = 0;
  pool.parallel_for(8, 1, [&](int64_t begin, int64_t end) {
    const auto outer = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i) {
      pool.parallel_for(1000, 1, [&](int64_t inner_begin, int64_t inner_end) {
        EXPECT_EQ(std::this_thread::get_id(), outer);
        sum += inner_end - inner_begin;
      });
    }
  });
  EXPECT_EQ(sum.load(), 8000);
}

TEST_P(ThreadPoolSizes, ManyTinyJobsAllFinish) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> counts(16, 0);  // each element belongs to one member: no atomics needed
  for (int i = 0; i < 300; ++i) {
    pool.parallel_for(16, 1, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) ++counts[static_cast<size_t>(at)];
    });
  }
  EXPECT_THAT(counts, ::testing::Each(300));
}

// The caller takes the shares of threads that are late, and those find nothing left, neither in
// that call nor in the next.
TEST_P(ThreadPoolSizes, EveryShareIsDoneOnceWhoeverDoesIt) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<int>> calls(static_cast<size_t>(pool.size()));
  for (int i = 0; i < 2000; ++i) {
    pool.run([&](int member) { ++calls.at(static_cast<size_t>(member)); });
    for (const auto& count : calls) ASSERT_EQ(count.load(), i + 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolSizes, ::testing::Values(1, 2, 3, 8));

TEST(ThreadPool, NothingToDoCallsNothing) {
  ThreadPool pool(2);
  pool.parallel_for(0, 1, [](int64_t, int64_t) { FAIL(); });
  pool.parallel_for(-5, 1, [](int64_t, int64_t) { FAIL(); });
}

TEST(ThreadPool, TwoCallersAtOnceBothGetTheirWorkDone) {
  ThreadPool pool(2);
  std::atomic<int64_t> sum = 0;
  const auto caller = [&] {
    for (int i = 0; i < 500; ++i) {
      pool.parallel_for(10, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    }
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(sum.load(), 10000);
}

TEST(ThreadPool, ASleepingPoolWakesUp) {
  ThreadPool pool(2);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // far longer than members spin
    std::atomic<int> members = 0;
    pool.run([&](int) { ++members; });
    EXPECT_EQ(members.load(), 2);
  }
}

// Members sleep after a time of spinning, the caller likewise: calls come just then.
TEST(ThreadPool, LosesNoShareOfThreadsThatAreFallingAsleep) {
  ThreadPool pool(3);
  std::atomic<int> shares = 0;
  for (int i = 0; i < 200; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(37 * i % 1500));
    pool.run([&](int) { ++shares; });
    ASSERT_EQ(shares.load(), 3 * (i + 1));
  }
}

TEST(ThreadPool, TheCallerSleepsUntilTheOthersAreDone) {
  ThreadPool pool(2);
  for (int i = 0; i < 20; ++i) {
    std::atomic<int> shares = 0;
    pool.run([&](int member) {
      if (member == 1) std::this_thread::sleep_for(std::chrono::microseconds(200 * i));
      ++shares;
    });
    ASSERT_EQ(shares.load(), 2);
  }
}

TEST(ThreadPool, RefusesSizesThatMakeNoSense) {
  for (const int threads : {0, -1, 1025, 2000000000}) {
    try {
      ThreadPool pool(threads);
      FAIL();
    } catch (const UsageError& error) {
      EXPECT_EQ(std::string(error.what()), str("threads: got ", threads, ", needs 1 to 1024"));
    }
  }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

TEST(ThreadPool, AnErrorAndNoCrashWhenTheSystemHasNoMoreThreads) {
  if (kSanitized) GTEST_SKIP() << "sanitizers reserve address space that the test must limit";
  const pid_t child = ::fork();
  if (child == 0) {
    // Room for a few stacks of eight megabytes, not for a thousand.
    const rlimit limit{rlim_t{1} << 28, rlim_t{1} << 28};
    ::setrlimit(RLIMIT_AS, &limit);
    try {
      ThreadPool pool(1000);
    } catch (const Error& error) {
      const bool told =
          std::string(error.what()).find("ask for fewer with -t") != std::string::npos;
      ::_exit(told ? 7 : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "the child crashed";
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(DefaultThreads, IsWhatThisProcessMayUse) {
  EXPECT_GE(default_threads(), 1);
  EXPECT_LE(default_threads(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace corral
