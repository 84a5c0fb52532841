#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corral::text {

using TokenId = int32_t;

/// Byte strings with ids 0, 1, 2, ... in order of addition, and the way back. An empty string takes
/// an id (a hole in the numbering) but is never found.
class Vocabulary {
 public:
  Vocabulary() = default;

  /// Appends. Returns false, and adds nothing, when the bytes are there already.
  bool add(std::string_view bytes);
  void reserve(size_t tokens, size_t total_bytes);

  TokenId size() const { return static_cast<TokenId>(offsets_.size()) - 1; }
  /// 0 <= id < size().
  std::string_view bytes(TokenId id) const {
    const auto i = static_cast<size_t>(id);
    return {bytes_.data() + offsets_[i], offsets_[i + 1] - offsets_[i]};
  }
  /// The id, or -1.
  TokenId find(std::string_view bytes) const;
  /// The length of the longest token.
  size_t max_bytes() const { return max_bytes_; }

 private:
  struct Slot {
    uint32_t hash = 0;
    TokenId id = -1;
  };
  void grow(size_t slots);
  void put(uint32_t hash, TokenId id);

  std::string bytes_;
  std::vector<size_t> offsets_{0};
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  size_t used_ = 0;
  size_t max_bytes_ = 0;
};

/// A fast hash of a short byte string. Not keyed: an enemy who knows it can build collisions, so it
/// serves only tables whose keys come from a vocabulary, or whose cost he pays himself.
uint64_t hash_bytes(std::string_view bytes);

}  // namespace corral::text
