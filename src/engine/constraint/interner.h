#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace corral::engine {

/// Numbers lists of plain items, 0, 1, 2, ...: equal lists have equal numbers.
template <class T>
class Interner {
  static_assert(std::has_unique_object_representations_v<T>);

 public:
  Interner() : begins_{0}, slots_(64, -1) {}

  int32_t intern(std::span<const T> list) {
    const uint64_t hash = hash_of(list);
    for (size_t slot = hash & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot] < 0) {
        const auto id = static_cast<int32_t>(hashes_.size());
        slots_[slot] = id;
        hashes_.push_back(hash);
        items_.insert(items_.end(), list.begin(), list.end());
        begins_.push_back(items_.size());
        if (hashes_.size() * 2 > slots_.size()) grow();
        return id;
      }
      if (hashes_[static_cast<size_t>(slots_[slot])] == hash && same(of(slots_[slot]), list)) {
        return slots_[slot];
      }
    }
  }

  /// Valid until the next intern().
  std::span<const T> of(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return std::span(items_).subspan(begins_[i], begins_[i + 1] - begins_[i]);
  }
  int32_t count() const { return static_cast<int32_t>(hashes_.size()); }
  size_t bytes() const {
    return items_.size() * sizeof(T) + hashes_.size() * (2 * sizeof(uint64_t)) +
           slots_.size() * sizeof(int32_t);
  }

 private:
  static uint64_t hash_of(std::span<const T> list) {
    uint64_t hash = list.size();
    for (const T& item : list) {
      uint64_t words[(sizeof(T) + 7) / 8] = {};
      std::memcpy(words, &item, sizeof(T));
      for (const uint64_t word : words) {
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
      }
    }
    return hash;
  }
  static bool same(std::span<const T> a, std::span<const T> b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
  }
  void grow() {
    slots_.assign(slots_.size() * 2, -1);
    for (size_t id = 0; id < hashes_.size(); ++id) {
      size_t slot = hashes_[id] & (slots_.size() - 1);
      while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<int32_t>(id);
    }
  }

  std::vector<T> items_;
  std::vector<size_t> begins_;
  std::vector<uint64_t> hashes_;
  std::vector<int32_t> slots_;  // a power of two, at most half full
};

}  // namespace corral::engine
