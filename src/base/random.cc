#include "base/random.h"

#include <bit>
#include <cmath>
#include <numbers>

namespace corral {
namespace {

// Four rounds look random for large n; below a hundred it takes ten until every pair of places is
// equally likely.
constexpr uint64_t kFeistelRounds = 10;

}  // namespace

std::array<uint32_t, 4> Philox::block(uint64_t index, uint64_t stream) const {
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                               static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
  auto k0 = static_cast<uint32_t>(key_);
  auto k1 = static_cast<uint32_t>(key_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

uint64_t Philox::bits(uint64_t index, uint64_t stream) const {
  const auto c = block(index, stream);
  return uint64_t{c[1]} << 32 | c[0];
}

double Philox::uniform(uint64_t index, uint64_t stream) const {
  return static_cast<double>(bits(index, stream) >> 11) * 0x1p-53;
}

double Philox::normal(uint64_t index, uint64_t stream) const {
  const auto c = block(index, stream);
  const double u = (c[0] + 1.0) * 0x1p-32;  // in (0, 1]: the logarithm stays finite
  const double v = c[1] * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

uint64_t Philox::below(uint64_t n, uint64_t index, uint64_t stream) const {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(bits(index, stream)) * n) >> 64);
}

uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

Permutation::Permutation(uint64_t n, uint64_t key)
    : n_(n),
      half_bits_(static_cast<uint32_t>(std::bit_width(n > 1 ? n - 1 : 1) + 1) / 2),
      philox_(key) {}

uint64_t Permutation::operator()(uint64_t i) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {  // at most a few turns: the network permutes fewer than 4 n values
    uint64_t left = i >> half_bits_;
    uint64_t right = i & mask;
    for (uint64_t round = 0; round < kFeistelRounds; ++round) {
      const uint64_t mixed = left ^ (philox_.bits(right, round) & mask);
      left = right;
      right = mixed;
    }
    i = left << half_bits_ | right;
  } while (i >= n_);
  return i;
}

}  // namespace corral
