#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/constraint/grammar.h"

namespace corral::engine {

/// A grammar as a network of nodes, one part for each rule: some edges read a byte, some read
/// nothing, some enter another rule and return to a node of this one. Small rules without loops
/// stand in the places that use them. Immutable.
///
/// What is left of the grammar is useful: from every node its rule's end can be reached, and no
/// rule can enter itself before it has read something, so a stack grows only with what was read.
class Automaton {
 public:
  static constexpr size_t kMostNodes = 300'000;
  static constexpr size_t kMostEdges = 2'000'000;

  struct ByteEdge {
    uint8_t low;
    uint8_t high;
    int32_t to;
  };
  struct CallEdge {
    int32_t rule;
    int32_t to;  // where it goes on behind the rule
  };

  /// Throws UsageError when no text at all follows the grammar, when a rule enters itself before it
  /// has read something (naming it), and when there would be too many nodes or edges.
  explicit Automaton(const Grammar& grammar);

  std::span<const ByteEdge> byte_edges(int32_t node) const { return bytes_.of(node); }
  std::span<const int32_t> empty_edges(int32_t node) const { return empties_.of(node); }
  std::span<const CallEdge> call_edges(int32_t node) const { return calls_.of(node); }
  bool reads_bytes(int32_t node) const { return !byte_edges(node).empty(); }
  /// The rule may end here.
  bool is_end(int32_t node) const { return flags_[static_cast<size_t>(node)].is_end; }
  /// The rule ends here, and nothing else can happen.
  bool is_only_end(int32_t node) const { return flags_[static_cast<size_t>(node)].is_only_end; }

  int32_t start(int32_t rule) const { return starts_[static_cast<size_t>(rule)]; }
  /// The rule can be followed without reading anything.
  bool is_nullable(int32_t rule) const { return nullable_[static_cast<size_t>(rule)]; }
  /// Rules that may be entered by another before that has read something have a higher rank.
  int32_t rank(int32_t rule) const { return ranks_[static_cast<size_t>(rule)]; }

  size_t nodes() const { return flags_.size(); }
  int32_t rules() const { return static_cast<int32_t>(starts_.size()); }
  /// Bytes that no edge tells apart have the same class.
  int32_t byte_class(uint8_t byte) const { return classes_[byte]; }
  int32_t byte_classes() const { return class_count_; }
  /// One byte of the class.
  uint8_t byte_of(int32_t byte_class) const {
    return class_bytes_[static_cast<size_t>(byte_class)];
  }

 private:
  friend class AutomatonBuilder;
  /// Lists of edges, one a node, behind each other.
  template <class T>
  struct Lists {
    std::vector<T> items = {};
    std::vector<int32_t> begins = {};
    std::span<const T> of(int32_t node) const {
      const auto i = static_cast<size_t>(node);
      return std::span(items).subspan(static_cast<size_t>(begins[i]),
                                      static_cast<size_t>(begins[i + 1] - begins[i]));
    }
  };
  struct Flags {
    bool is_end;
    bool is_only_end;
  };
  void find_byte_classes();

  Lists<ByteEdge> bytes_;
  Lists<int32_t> empties_;
  Lists<CallEdge> calls_;
  std::vector<Flags> flags_;
  std::vector<int32_t> starts_;
  std::vector<bool> nullable_;
  std::vector<int32_t> ranks_;
  std::array<uint8_t, 256> classes_{};
  std::vector<uint8_t> class_bytes_;
  int32_t class_count_ = 0;
};

}  // namespace corral::engine
