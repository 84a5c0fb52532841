#include "kv/page_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "base/random.h"
#include "support/tensors.h"

namespace corral::kv {
namespace {

TEST(PagePool, TakesOneSmallPageAtATimeAndGivesItBack) {
  const DevicePtr device = test::test_device();
  const int64_t before = device->memory().in_use_bytes;
  PagePool pool(4096, device);
  const int64_t a = pool.acquire();
  EXPECT_EQ(pool.bytes_in_use(), 4096);
  EXPECT_EQ(device->memory().in_use_bytes - before, 4096);
  pool.add_reference(a);
  pool.drop_reference(a);
  EXPECT_EQ(pool.references(a), 1);
  pool.drop_reference(a);
  EXPECT_EQ(pool.bytes_in_use(), 0);
  EXPECT_EQ(device->memory().in_use_bytes, before);
}

TEST(PagePool, PagesOfALongContextLieTogether) {
  const DevicePtr device = test::test_device();
  constexpr int64_t kPageBytes = 64 << 10;
  PagePool pool(kPageBytes, device);
  std::vector<int64_t> pages;
  while (pool.bytes_in_use() < 4 * PagePool::kSlabBytes) pages.push_back(pool.acquire());
  int64_t neighbours = 0;
  for (size_t i = 1; i < pages.size(); ++i) {
    neighbours += pool.data(pages[i]) == pool.data(pages[i - 1]) + kPageBytes ? 1 : 0;
  }
  EXPECT_GE(neighbours, static_cast<int64_t>(pages.size()) * 3 / 5);
  EXPECT_LE(device->memory().in_use_bytes, pool.bytes_in_use() + PagePool::kSlabBytes);
  for (const int64_t page : pages) pool.drop_reference(page);
  EXPECT_EQ(device->memory().in_use_bytes, 0);
}

// Pages come and go in any order: no two share memory, a new one is zero, a copy is equal, and what
// nobody needs goes back.
TEST(PagePool, SurvivesARandomWalk) {
  const DevicePtr device = test::test_device();
  constexpr int64_t kPageBytes = 128 << 10;
  PagePool pool(kPageBytes, device);
  const Philox random(5);
  std::map<int64_t, uint64_t> marks;
  uint64_t turn = 0;
  const auto pick = [&] {
    auto at = marks.begin();
    std::advance(at, static_cast<int64_t>(random.below(marks.size(), ++turn)));
    return at;
  };
  const auto mark_of = [&](int64_t page) {
    uint64_t mark;
    std::memcpy(&mark, pool.data(page) + kPageBytes - 8, 8);
    return mark;
  };
  for (int step = 0; step < 3000; ++step) {
    const bool grow = random.below(1000, ++turn) < (step < 1500 ? 600 : 350);
    if (marks.empty() || grow) {
      const bool copy = !marks.empty() && random.below(4, ++turn) == 0;
      const int64_t source = copy ? pick()->first : -1;
      const int64_t page = copy ? pool.acquire_copy(source) : pool.acquire();
      ASSERT_EQ(mark_of(page), copy ? marks[source] : 0);
      ASSERT_EQ(marks.count(page), 0U);
      const auto mark = static_cast<uint64_t>(step) + 1;
      std::memcpy(pool.data(page) + kPageBytes - 8, &mark, 8);
      marks[page] = mark;
    } else {
      const auto at = pick();
      ASSERT_EQ(mark_of(at->first), at->second);
      pool.drop_reference(at->first);
      marks.erase(at);
    }
    ASSERT_EQ(pool.bytes_in_use(), static_cast<int64_t>(marks.size()) * kPageBytes);
  }
  while (!marks.empty()) {
    ASSERT_EQ(mark_of(marks.begin()->first), marks.begin()->second);
    pool.drop_reference(marks.begin()->first);
    marks.erase(marks.begin());
  }
  EXPECT_EQ(device->memory().in_use_bytes, 0);
}

}  // namespace
}  // namespace corral::kv
