#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace corral::text {
namespace {

uint64_t load(const char* p, size_t n) {
  uint64_t word = 0;
  std::memcpy(&word, p, n);
  return word;
}

uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9E3779B97F4A7C15ull;
  return h ^ h >> 29;
}

}  // namespace

uint64_t hash_bytes(std::string_view bytes) {
  const char* p = bytes.data();
  size_t n = bytes.size();
  uint64_t h = 0x2545F4914F6CDD1Dull ^ n;
  for (; n > 8; p += 8, n -= 8) h = mix(h, load(p, 8));
  return mix(mix(h, load(p, n)), 0xD1342543DE82EF95ull);
}

void Vocabulary::reserve(size_t tokens, size_t total_bytes) {
  bytes_.reserve(total_bytes);
  offsets_.reserve(tokens + 1);
  if (tokens * 2 > slots_.size()) grow(std::bit_ceil(tokens * 2));
}

void Vocabulary::put(uint32_t hash, TokenId id) {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].id >= 0) at = (at + 1) & mask;
  slots_[at] = {hash, id};
}

void Vocabulary::grow(size_t slots) {
  const std::vector<Slot> old = std::move(slots_);
  slots_.assign(slots, Slot{});
  for (const Slot& slot : old) {
    if (slot.id >= 0) put(slot.hash, slot.id);
  }
}

bool Vocabulary::add(std::string_view bytes) {
  if (!bytes.empty()) {
    if (find(bytes) >= 0) return false;
    if ((used_ + 1) * 2 > slots_.size()) grow(std::max<size_t>(64, slots_.size() * 2));
    put(static_cast<uint32_t>(hash_bytes(bytes)), size());
    ++used_;
  }
  bytes_ += bytes;
  offsets_.push_back(bytes_.size());
  max_bytes_ = std::max(max_bytes_, bytes.size());
  return true;
}

TokenId Vocabulary::find(std::string_view wanted) const {
  if (slots_.empty() || wanted.empty() || wanted.size() > max_bytes_) return -1;
  const auto hash = static_cast<uint32_t>(hash_bytes(wanted));
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && bytes(slots_[at].id) == wanted) return slots_[at].id;
  }
  return -1;
}

}  // namespace corral::text
