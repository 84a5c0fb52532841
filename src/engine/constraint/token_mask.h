#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace corral::engine {

/// Which tokens may come next: one bit a token id.
class TokenMask {
 public:
  explicit TokenMask(size_t tokens) : words_((tokens + 63) / 64, 0) {}
  void set(int32_t token) { words_[static_cast<size_t>(token) / 64] |= bit(token); }
  /// False for ids beyond the mask.
  bool has(int32_t token) const {
    const auto word = static_cast<size_t>(token) / 64;
    return word < words_.size() && (words_[word] & bit(token)) != 0;
  }
  /// Sets what the other, of the same size, has.
  void add(const TokenMask& other);
  int64_t count() const;
  /// Bit i of word w: token 64 w + i.
  std::span<const uint64_t> words() const { return words_; }

 private:
  static uint64_t bit(int32_t token) { return uint64_t{1} << (token % 64); }
  std::vector<uint64_t> words_;
};

using MaskPtr = std::shared_ptr<const TokenMask>;

}  // namespace corral::engine
