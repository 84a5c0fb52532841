#include "tensor/read_ahead.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <random>
#include <thread>
#include <vector>

namespace corral {
namespace {

constexpr int64_t kBytes = int64_t{64} << 20;

/// What a call takes, by how it reads.
using Seconds = std::function<double(Reach)>;

double times(double near, double far, Reach reach) { return reach == Reach::kNear ? near : far; }

/// How many of so many calls read far.
int64_t far_calls(ReadAhead& ahead, int64_t calls, const Seconds& seconds) {
  int64_t far = 0;
  for (int64_t i = 0; i < calls; ++i) {
    const ReadAhead::Turn turn = ahead.next(kBytes);
    if (turn.reach == Reach::kFar) ++far;
    if (turn.kind >= 0) ahead.took(turn, seconds(turn.reach));
  }
  return far;
}

Reach taken(ReadAhead& ahead) { return ahead.next(1).reach; }

TEST(ReadAhead, TriesFarSeldomWhereNearIsFaster) {
  ReadAhead ahead;
  const auto near_is_faster = [](Reach reach) { return times(1.0, 1.05, reach); };
  const int64_t first = far_calls(ahead, 1000, near_is_faster);
  EXPECT_GT(first, 0);
  EXPECT_LT(first, 60);
  EXPECT_LE(far_calls(ahead, 3200, near_is_faster), 101);
}

TEST(ReadAhead, FollowsWhatIsFaster) {
  ReadAhead ahead;
  far_calls(ahead, 200, [](Reach reach) { return times(1.0, 0.95, reach); });
  EXPECT_EQ(taken(ahead), Reach::kFar);
  far_calls(ahead, 600, [](Reach reach) { return times(1.0, 1.05, reach); });
  EXPECT_EQ(taken(ahead), Reach::kNear);
}

TEST(ReadAhead, IsRightInARestlessMemory) {
  std::mt19937 random(7);
  std::normal_distribution<double> noise(1.0, 0.08);
  for (const double far : {0.95, 1.05}) {
    ReadAhead ahead;
    const auto seconds = [&](Reach reach) { return noise(random) * times(1.0, far, reach); };
    far_calls(ahead, 3000, seconds);
    const auto share = static_cast<double>(far_calls(ahead, 100'000, seconds)) / 100'000;
    EXPECT_GT(far < 1 ? share : 1 - share, 0.93) << far;
  }
}

TEST(ReadAhead, StaysWhereBothAreTheSame) {
  ReadAhead ahead;
  far_calls(ahead, 10'000, [](Reach) { return 1.0; });
  EXPECT_EQ(taken(ahead), Reach::kNear);
}

TEST(ReadAhead, OneCallThatWaitedDecidesNothing) {
  ReadAhead ahead;
  int64_t calls = 0;
  far_calls(ahead, 1000, [&](Reach reach) {
    const bool waits = ++calls % 100 == 50 && reach == Reach::kNear;  // often beside a trial
    return waits ? 1000.0 : times(1.0, 1.02, reach);
  });
  EXPECT_EQ(taken(ahead), Reach::kNear);
}

TEST(ReadAhead, ComparesCallsThatReadAsMuch) {
  ReadAhead ahead;
  for (int64_t i = 0; i < 5000; ++i) {
    const int64_t bytes = kBytes << i % 3;
    const ReadAhead::Turn turn = ahead.next(bytes);
    const double near = static_cast<double>(bytes * bytes);
    ahead.took(turn, times(near, 1.03 * near, turn.reach));
    ASSERT_EQ(taken(ahead), Reach::kNear) << i;
  }
}

TEST(ReadAhead, TakesNoTimeOfCallsThatReadLittle) {
  ReadAhead ahead;
  for (int i = 0; i < 1000; ++i) {
    const ReadAhead::Turn turn = ahead.next(1 << 20);
    ASSERT_EQ(turn.reach, Reach::kNear);
    ASSERT_EQ(turn.kind, -1);
  }
}

TEST(ReadAhead, KindsThatDoNotComeAgainAreForgotten) {
  ReadAhead ahead;
  for (int64_t i = 0; i < 1000; ++i) {
    const ReadAhead::Turn turn = ahead.next(kBytes + i);
    ASSERT_FALSE(turn.trial);  // with nothing to compare it with
    ahead.took(turn, 1.0);
  }
  far_calls(ahead, 200, [](Reach reach) { return times(1.0, 0.95, reach); });
  EXPECT_EQ(taken(ahead), Reach::kFar);
}

TEST(ReadAhead, MayBeAskedByManyAtOnce) {
  ReadAhead ahead;
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&ahead, t] {
      for (int64_t i = 0; i < 5000; ++i) {
        const ReadAhead::Turn turn = ahead.next(kBytes + i % 5 * (t % 2));
        ahead.took(turn, times(1.0, 0.9, turn.reach));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  far_calls(ahead, 500, [](Reach reach) { return times(1.0, 0.9, reach); });
  EXPECT_EQ(taken(ahead), Reach::kFar);
}

}  // namespace
}  // namespace corral
