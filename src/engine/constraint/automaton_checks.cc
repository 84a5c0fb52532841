// What holds for the network of a grammar: which nodes lead somewhere, which rules may be empty,
// which enter which.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/constraint/automaton_builder.h"

namespace corral::engine {
namespace {

constexpr int64_t kMostInlinedSize = 256;
constexpr int64_t kMostInlinedHeight = 20;
constexpr int64_t kMostInlinedRepeats = 16;
constexpr int64_t kMuch = 1 << 20;

/// What a rule would be like if it were copied.
struct Shape {
  int64_t size = 1;    // nodes, about
  int64_t height = 0;  // of expressions
  bool loops = false;
};

/// Looks at rules from the bottom up; a rule that is met inside itself is recursive.
class InlineChooser {
 public:
  explicit InlineChooser(const Grammar& grammar)
      : grammar_(grammar),
        marks_(grammar.rules().size(), Mark::kNew),
        inlined_(grammar.rules().size(), false),
        shapes_(grammar.rules().size()) {}

  std::vector<bool> choose() {
    for (size_t rule = 0; rule < marks_.size(); ++rule) look_at(static_cast<RuleId>(rule));
    return inlined_;
  }

 private:
  enum class Mark : uint8_t { kNew, kOpen, kDone };

  // Without recursion over rules: there may be a hundred thousand in a row.
  void look_at(RuleId first) {
    std::vector<std::pair<RuleId, bool>> stack = {{first, false}};
    while (!stack.empty()) {
      const auto [rule, is_back] = stack.back();
      stack.pop_back();
      const auto i = static_cast<size_t>(rule);
      if (is_back) {
        finish(rule);
        continue;
      }
      if (marks_[i] != Mark::kNew) continue;
      marks_[i] = Mark::kOpen;
      stack.emplace_back(rule, true);
      std::vector<RuleId> called;
      if (grammar_.rules()[i].expr >= 0) collect(grammar_.rules()[i].expr, called);
      for (const RuleId next : called) {
        if (marks_[static_cast<size_t>(next)] == Mark::kNew) stack.emplace_back(next, false);
      }
    }
  }

  void collect(ExprId id, std::vector<RuleId>& called) const {
    const auto& expr = grammar_.expr(id);
    if (expr.kind == Grammar::Kind::kRule) called.push_back(expr.rule);
    for (const ExprId part : expr.parts) collect(part, called);
    for (const auto& edge : expr.edges) collect(edge.expr, called);
  }

  void finish(RuleId rule) {
    const auto i = static_cast<size_t>(rule);
    const auto& definition = grammar_.rules()[i];
    if (definition.expr >= 0 && !definition.keep) {
      const Shape shape = shape_of(definition.expr);
      inlined_[i] =
          !shape.loops && shape.size <= kMostInlinedSize && shape.height <= kMostInlinedHeight;
      shapes_[i] = shape;
    }
    marks_[i] = Mark::kDone;
  }

  Shape shape_of(ExprId id) const {
    const auto& expr = grammar_.expr(id);
    Shape shape;
    const auto add = [&](const Shape& part, int64_t times) {
      shape.size = std::min(kMuch, shape.size + part.size * std::min(times, kMuch));
      shape.height = std::max(shape.height, part.height + 1);
      shape.loops = shape.loops || part.loops;
    };
    switch (expr.kind) {
      case Grammar::Kind::kBytes:
        shape.size = static_cast<int64_t>(expr.bytes.size());
        break;
      case Grammar::Kind::kChars:
        shape.size = 4;
        break;
      case Grammar::Kind::kSequence:
      case Grammar::Kind::kChoice:
        for (const ExprId part : expr.parts) add(shape_of(part), 1);
        break;
      case Grammar::Kind::kRepeat:
        add(shape_of(expr.parts[0]), std::max(expr.min, expr.max));
        if (expr.max < 0 || expr.max > kMostInlinedRepeats) shape.loops = true;
        break;
      case Grammar::Kind::kRule: {
        const auto rule = static_cast<size_t>(expr.rule);
        if (marks_[rule] == Mark::kOpen) shape.loops = true;  // recursive
        if (inlined_[rule]) add(shapes_[rule], 1);
        break;
      }
      case Grammar::Kind::kGraph:
        for (const auto& edge : expr.edges) {
          add(shape_of(edge.expr), 1);
          if (edge.to <= edge.from) shape.loops = true;
        }
        break;
    }
    return shape;
  }

  const Grammar& grammar_;
  std::vector<Mark> marks_;
  std::vector<bool> inlined_;
  std::vector<Shape> shapes_;
};

}  // namespace

std::vector<bool> inlined_rules(const Grammar& grammar) { return InlineChooser(grammar).choose(); }

// A node is productive if its rule's end can be reached from it. What is not would let a text begin
// that nothing can complete, so it goes.
void AutomatonBuilder::keep_productive() {
  struct CallFrom {
    int32_t from;
    int32_t to;
  };
  std::vector<std::vector<int32_t>> before(nodes_.size());
  std::vector<std::vector<std::pair<int32_t, int32_t>>> returns(nodes_.size());  // from, rule
  std::vector<std::vector<CallFrom>> calls(starts_.size());
  std::vector<int32_t> open;
  for (int32_t from = 0; from < static_cast<int32_t>(nodes_.size()); ++from) {
    for (const auto& edge : node(from).bytes) before[static_cast<size_t>(edge.to)].push_back(from);
    for (const int32_t to : node(from).empties) before[static_cast<size_t>(to)].push_back(from);
    for (const auto& call : node(from).calls) {
      returns[static_cast<size_t>(call.to)].emplace_back(from, call.rule);
      calls[static_cast<size_t>(call.rule)].push_back({from, call.to});
    }
    if (node(from).is_end) open.push_back(from);
  }
  const auto reach = [&](int32_t id) {
    if (node(id).productive) return;
    node(id).productive = true;
    open.push_back(id);
  };
  for (const int32_t id : open) node(id).productive = true;
  const auto rule_is_productive = [&](int32_t rule) {
    return node(starts_[static_cast<size_t>(rule)]).productive;
  };
  while (!open.empty()) {
    const int32_t id = open.back();
    open.pop_back();
    for (const int32_t from : before[static_cast<size_t>(id)]) reach(from);
    for (const auto& [from, rule] : returns[static_cast<size_t>(id)]) {
      if (rule_is_productive(rule)) reach(from);
    }
    if (id != starts_[static_cast<size_t>(node(id).rule)]) continue;
    for (const CallFrom& call : calls[static_cast<size_t>(node(id).rule)]) {
      if (node(call.to).productive) reach(call.from);
    }
  }
  if (!rule_is_productive(0)) throw UsageError("no text at all follows the grammar");
  for (Node& from : nodes_) {
    std::erase_if(from.bytes, [&](const auto& edge) { return !node(edge.to).productive; });
    std::erase_if(from.empties, [&](int32_t to) { return !node(to).productive; });
    std::erase_if(from.calls, [&](const auto& call) {
      return !node(call.to).productive || !rule_is_productive(call.rule);
    });
  }
}

// Follows from every rule's start what reads nothing. A call of a rule that is not known to be
// nullable waits until it is.
void AutomatonBuilder::find_nullable() {
  nullable_.assign(starts_.size(), false);
  left_calls_.assign(starts_.size(), {});
  std::vector<std::vector<int32_t>> waiting(starts_.size());
  std::vector<bool> reached(nodes_.size(), false);
  std::vector<int32_t> open;
  const auto reach = [&](int32_t id) {
    if (reached[static_cast<size_t>(id)]) return;
    reached[static_cast<size_t>(id)] = true;
    open.push_back(id);
  };
  for (const int32_t start : starts_) reach(start);
  while (!open.empty()) {
    const int32_t id = open.back();
    open.pop_back();
    const Node& here = node(id);
    for (const int32_t to : here.empties) reach(to);
    for (const auto& call : here.calls) {
      left_calls_[static_cast<size_t>(here.rule)].push_back(call.rule);
      if (nullable_[static_cast<size_t>(call.rule)]) {
        reach(call.to);
      } else {
        waiting[static_cast<size_t>(call.rule)].push_back(call.to);
      }
    }
    const auto rule = static_cast<size_t>(here.rule);
    if (!here.is_end || nullable_[rule]) continue;
    nullable_[rule] = true;
    for (const int32_t to : waiting[rule]) reach(to);
  }
}

// Topological order of "may enter at its beginning".
void AutomatonBuilder::rank_rules() {
  enum class Mark : uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(starts_.size(), Mark::kNew);
  ranks_.assign(starts_.size(), 0);
  auto next_rank = static_cast<int32_t>(starts_.size());
  for (int32_t first = 0; first < static_cast<int32_t>(starts_.size()); ++first) {
    std::vector<std::pair<int32_t, bool>> stack = {{first, false}};
    while (!stack.empty()) {
      const auto [rule, is_back] = stack.back();
      stack.pop_back();
      const auto i = static_cast<size_t>(rule);
      if (is_back) {
        marks[i] = Mark::kDone;
        ranks_[i] = --next_rank;
        continue;
      }
      if (marks[i] != Mark::kNew) continue;
      marks[i] = Mark::kOpen;
      stack.emplace_back(rule, true);
      for (const int32_t called : left_calls_[i]) {
        if (marks[static_cast<size_t>(called)] == Mark::kOpen) {
          const auto& name =
              grammar_.rules()[static_cast<size_t>(rules_[static_cast<size_t>(called)])].name;
          throw UsageError(str("the rule ", name,
                               " is left recursive: it can enter itself before it has read "
                               "anything; write it with a repetition"));
        }
        stack.emplace_back(called, false);
      }
    }
  }
}

// Nodes from which only ends can be reached, and that without reading.
std::vector<bool> AutomatonBuilder::find_only_ends() const {
  std::vector<bool> only(nodes_.size(), true);
  std::vector<std::vector<int32_t>> before(nodes_.size());
  std::vector<int32_t> open;
  for (int32_t from = 0; from < static_cast<int32_t>(nodes_.size()); ++from) {
    for (const int32_t to : node(from).empties) before[static_cast<size_t>(to)].push_back(from);
    if (node(from).bytes.empty() && node(from).calls.empty()) continue;
    only[static_cast<size_t>(from)] = false;
    open.push_back(from);
  }
  while (!open.empty()) {
    const int32_t id = open.back();
    open.pop_back();
    for (const int32_t from : before[static_cast<size_t>(id)]) {
      if (!only[static_cast<size_t>(from)]) continue;
      only[static_cast<size_t>(from)] = false;
      open.push_back(from);
    }
  }
  return only;
}

}  // namespace corral::engine
