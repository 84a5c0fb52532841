#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "text/vocabulary.h"

namespace corral::text {

/// left + right -> result. Ids of one vocabulary.
struct Merge {
  TokenId left;
  TokenId right;
  TokenId result;
  bool operator==(const Merge&) const = default;
};

/// Which neighbouring tokens may merge, and which of them first.
class MergeTable {
 public:
  /// Of equal priority the leftmost pair of a text goes first; the smaller number wins.
  struct Entry {
    int32_t priority;
    TokenId result;
  };
  static constexpr int32_t kNever = INT32_MAX;

  /// Priority is the place in the list, except when results never decrease along it: then it is the
  /// result's id, so that two ways to make one token rank the same, as where only ranks are known.
  /// A pair that occurs twice keeps its first place.
  explicit MergeTable(std::span<const Merge> merges);

  /// kNever when the pair does not merge.
  Entry find(TokenId left, TokenId right) const {
    const size_t mask = slots_.size() - 1;
    for (size_t at = home(left, right);; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.left == left && slot.right == right) return {slot.priority, result(slot.priority)};
      if (slot.left < 0) return {kNever, -1};
    }
  }

 private:
  struct Slot {
    TokenId left = -1;
    TokenId right = -1;
    int32_t priority = kNever;
  };
  size_t home(TokenId left, TokenId right) const {
    const uint64_t key = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
    return static_cast<size_t>(key * 0x9E3779B97F4A7C15ull >> shift_);
  }
  TokenId result(int32_t priority) const {
    return results_.empty() ? priority : results_[static_cast<size_t>(priority)];
  }

  std::vector<Slot> slots_;
  std::vector<TokenId> results_;  // by priority; empty when the priority is the result
  int shift_ = 0;
};

/// Every way to put a token together from two others, ordered by result, then by length of the left
/// part. This is what a list of merges must hold to say the same as bare ranks.
std::vector<Merge> all_merges(const Vocabulary& vocabulary);

/// Encodes a piece: from its bytes on, merges the pair of lowest priority (leftmost of equals)
/// until none is left. Scratch space is kept between calls; not thread-safe.
class BytePairEncoder {
 public:
  /// byte_ids[b]: the token of byte b. The arguments must outlive the encoder.
  BytePairEncoder(const MergeTable& merges, const std::array<TokenId, 256>& byte_ids)
      : merges_(merges), byte_ids_(byte_ids) {}

  /// Appends the ids. O(n^2) up to 64 bytes, O(n log n) beyond.
  void encode(std::string_view piece, std::vector<TokenId>& out);

 private:
  void encode_short(std::string_view piece, std::vector<TokenId>& out);
  void encode_long(std::string_view piece, std::vector<TokenId>& out);

  struct Node {
    TokenId id;
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    int32_t priority;
    int32_t at;
    TokenId left;
    TokenId right;
    TokenId result;
    bool operator>(const Candidate& other) const {
      return priority != other.priority ? priority > other.priority : at > other.at;
    }
  };
  void push(int32_t at);

  const MergeTable& merges_;
  const std::array<TokenId, 256>& byte_ids_;
  std::vector<Node> nodes_;
  std::vector<Candidate> heap_;
};

}  // namespace corral::text
