#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/constraint/automaton.h"
#include "engine/constraint/interner.h"

namespace corral::engine {

/// All that a text so far can be in an automaton, as one number: a *configuration* is a set of
/// threads, each a node together with the frame that its rule returns to. A *frame* is a set of
/// (node to return to, frame of that node's rule): all callers that entered a rule at one place of
/// the text share a frame, so the number of threads stays polynomial however ambiguous the grammar
/// is. Both are interned, and steps are remembered, so that a grammar's usual states cost a table
/// look-up a byte.
///
/// Not thread-safe.
class Configurations {
 public:
  /// A byte after which no text of the grammar goes on.
  static constexpr int32_t kDead = -1;
  /// Of one configuration; beyond it step() throws Error.
  static constexpr size_t kMostThreads = 20'000;

  struct Thread {
    int32_t node;
    int32_t frame;
    auto operator<=>(const Thread&) const = default;
  };
  /// Returns to nothing: its end is the end of the text.
  static constexpr int32_t kRoot = 0;

  /// The automaton must outlive this.
  explicit Configurations(const Automaton& automaton);

  /// The configuration of the empty text.
  int32_t start() const { return start_; }
  /// After one byte more; kDead if there is none.
  int32_t step(int32_t configuration, uint8_t byte) {
    const auto cell =
        static_cast<size_t>(configuration) * static_cast<size_t>(automaton_.byte_classes()) +
        static_cast<size_t>(automaton_.byte_class(byte));
    const int32_t to = steps_[cell];
    return to != kUnknown ? to : compute(configuration, byte, cell);
  }
  /// The text may end here.
  bool can_end(int32_t configuration) const {
    return flags_[static_cast<size_t>(configuration)].can_end;
  }
  /// The text may go on.
  bool can_go_on(int32_t configuration) const {
    return flags_[static_cast<size_t>(configuration)].can_go_on;
  }
  /// Sorted. Valid until the next non-const call.
  std::span<const Thread> threads(int32_t configuration) const;

  /// These nodes, sorted, as if their rule were all there is: where it ends the text can end.
  int32_t alone(std::span<const int32_t> nodes);
  /// Where a text stands when a rule with this frame has just ended.
  int32_t behind(int32_t frame);
  /// The same configuration of another table for the same automaton.
  int32_t import(const Configurations& other, int32_t configuration);

  int32_t count() const { return static_cast<int32_t>(flags_.size()); }
  /// The memory of all that is remembered, about.
  size_t bytes() const;

 private:
  static constexpr int32_t kUnknown = -2;
  static constexpr int32_t kTextEnd = -1;  // in place of a node to return to
  struct Return {
    int32_t node;
    int32_t frame;
    auto operator<=>(const Return&) const = default;
  };
  struct Flags {
    bool can_end;
    bool can_go_on;
  };

  int32_t compute(int32_t configuration, uint8_t byte, size_t cell);
  int32_t close();
  void visit(Thread thread);
  void look_at(Thread thread, bool pops);
  void enter(const Automaton::CallEdge& call, int32_t frame);
  int32_t add(bool can_end);
  int32_t import_frame(const Configurations& other, int32_t frame, std::vector<int32_t>& known);

  const Automaton& automaton_;
  Interner<Return> frames_;
  Interner<Thread> configurations_;  // with {kTextEnd, can_end} in front
  std::vector<Flags> flags_;
  std::vector<int32_t> steps_;
  std::vector<int32_t> behind_;  // by frame; kUnknown
  int32_t start_ = 0;

  // While a closure is computed:
  std::vector<Thread> open_;
  std::unordered_set<uint64_t> seen_;
  std::vector<Thread> found_;                         // threads that read bytes
  std::vector<std::pair<int32_t, int32_t>> entered_;  // a heap of (-rank, rule)
  std::vector<std::vector<Return>> callers_;          // by rule
  bool ends_ = false;
};

}  // namespace corral::engine
