#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/device.h"
#include "tensor/peak.h"

// The ceilings that benchmarks report their share of: measured by loops that do nothing else.

namespace corral::bench {

enum class Ceiling {
  kF32,   // multiply-adds of floats in registers, 2 operations each
  kBF16,  // of pairs of bf16, in vectors or tiles
  kInt8,  // of bytes, likewise
  kInt4,  // of bytes with others below 16
  kRead,  // bytes read from memory
};

namespace detail {

/// Work per second of `work` units done by each of the threads in body(member); the best of twenty.
inline double best_rate(int threads, double work, const std::function<void(int)>& body) {
  ThreadPool pool(threads);
  double best = 0;
  for (int run = 0; run < 20; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(body);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, work * threads / taken.count());
  }
  return best;
}

inline uint64_t sum_words(const uint64_t* words, int64_t count) {
  uint64_t sums[32] = {};
  for (int64_t i = 0; i < count; i += 32) {
    for (int64_t j = 0; j < 32; ++j) sums[j] += words[i + j];
  }
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return sum;
}

inline double read_rate(int threads) {
  constexpr int64_t kWords = int64_t{256} << 17;  // 256 MiB in all
  const int64_t share = kWords / threads / 32 * 32;
  const std::vector<uint64_t> memory(static_cast<size_t>(kWords), 1);
  std::vector<uint64_t> sums(static_cast<size_t>(threads));
  return best_rate(threads, 8.0 * static_cast<double>(share), [&](int member) {
    const uint64_t sum = sum_words(memory.data() + member * share, share);
    sums[static_cast<size_t>(member)] = sum;
    asm volatile("" : : "r"(sum));
  });
}

inline double measure(Ceiling what, int threads) {
  if (what == Ceiling::kRead) return read_rate(threads);
  const DevicePtr device = Device::cpu({.threads = threads});
  return measure_peak(*device, what == Ceiling::kF32    ? Arithmetic::kF32
                               : what == Ceiling::kBF16 ? Arithmetic::kBF16
                               : what == Ceiling::kInt4 ? Arithmetic::kInt4
                                                        : Arithmetic::kInt8);
}

}  // namespace detail

/// What this machine does at most with this many threads, in operations or bytes a second (see
/// measure_peak). Measured once a process, for some tenths of a second.
inline double ceiling(Ceiling what, int threads) {
  static std::map<std::pair<Ceiling, int>, double> known;
  const auto [at, added] = known.try_emplace({what, threads}, 0);
  if (added) at->second = detail::measure(what, threads);
  return at->second;
}

/// The bandwidth of reading at this moment: on shared machines it changes within minutes.
inline double read_now(int threads) { return detail::read_rate(threads); }

}  // namespace corral::bench
