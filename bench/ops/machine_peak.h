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
#include "simd/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The ceilings that benchmarks report their share of: measured by loops that do nothing else.

namespace corral::bench {

enum class Ceiling {
  kF32,   // multiply-adds of floats in registers, 2 operations each
  kBF16,  // vdpbf16ps
  kInt8,  // vpdpbusd
  kRead,  // bytes read from memory
};

namespace detail {

inline constexpr int kChains = 12;  // enough to hide the latency of two units

#if defined(__x86_64__)
__attribute__((noinline, target("avx512f,avx512bf16,avx512vnni"))) inline void spin_avx512(
    Ceiling what, int64_t rounds) {
  const __m512i ones = _mm512_set1_epi32(0x3F003F00);  // bf16 pairs or a float, all normal numbers
  __m512i sum[kChains];
  for (__m512i& s : sum) s = _mm512_setzero_si512();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (__m512i& s : sum) {
      if (what == Ceiling::kF32) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(s) : "v"(ones));
      if (what == Ceiling::kBF16) asm volatile("vdpbf16ps %1, %1, %0" : "+v"(s) : "v"(ones));
      if (what == Ceiling::kInt8) asm volatile("vpdpbusd %1, %1, %0" : "+v"(s) : "v"(ones));
    }
  }
}

__attribute__((noinline, target("avx2,fma"))) inline void spin_avx2(int64_t rounds) {
  const __m256 half = _mm256_set1_ps(0.5f);
  __m256 sum[kChains];
  for (__m256& s : sum) s = _mm256_setzero_ps();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (__m256& s : sum) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(s) : "x"(half));
  }
}
#endif

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
#if defined(__x86_64__)
  constexpr int64_t kRounds = 1 << 21;
  const auto rate = [&](double per_instruction, const std::function<void(int)>& body) {
    return best_rate(threads, per_instruction * kChains * kRounds, body);
  };
  if (simd::detect_isa() == simd::Isa::kAvx512) {
    const double operations = what == Ceiling::kF32 ? 32 : what == Ceiling::kBF16 ? 64 : 128;
    return rate(operations, [what](int) { spin_avx512(what, kRounds); });
  }
  if (simd::detect_isa() == simd::Isa::kAvx2 && what == Ceiling::kF32) {
    return rate(16, [](int) { spin_avx2(kRounds); });
  }
#endif
  return 0;
}

}  // namespace detail

/// What this machine does at most with this many threads, in operations or bytes a second; 0 when
/// it lacks the instruction. Measured once a process, for some tenths of a second.
inline double ceiling(Ceiling what, int threads) {
  static std::map<std::pair<Ceiling, int>, double> known;
  const auto [at, added] = known.try_emplace({what, threads}, 0);
  if (added) at->second = detail::measure(what, threads);
  return at->second;
}

}  // namespace corral::bench
