#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace corral {

/// Counter-based random numbers: the value at (key, index) is a pure function, so a tensor's
/// initial values, a shuffle or a sampled token never depend on order, threads or what ran before.
/// Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
class Philox {
 public:
  explicit Philox(uint64_t key) : key_(key) {}

  /// Four independent 32-bit words for block `index`.
  std::array<uint32_t, 4> block(uint64_t index, uint64_t stream = 0) const;

  /// 64 random bits.
  uint64_t bits(uint64_t index, uint64_t stream = 0) const;
  /// Uniform in [0, 1), 53 bits.
  double uniform(uint64_t index, uint64_t stream = 0) const;
  /// Standard normal (Box-Muller on one block).
  double normal(uint64_t index, uint64_t stream = 0) const;
  /// Uniform in [0, n), n > 0 (multiply-shift; bias below 2^-64 n).
  uint64_t below(uint64_t n, uint64_t index, uint64_t stream = 0) const;

 private:
  uint64_t key_;
};

/// FNV-1a of a name, to key a generator by what it is for: Philox(seed ^ hash_name("embedding")).
uint64_t hash_name(std::string_view name);

/// A pseudo-random permutation of [0, n) computed point by point (Feistel network with cycle
/// walking), so that a shuffle of any size needs no memory and resumes from an index.
class Permutation {
 public:
  Permutation(uint64_t n, uint64_t key);
  /// The image of i, i < n.
  uint64_t operator()(uint64_t i) const;

 private:
  uint64_t n_;
  uint32_t half_bits_;
  Philox philox_;
};

}  // namespace corral
