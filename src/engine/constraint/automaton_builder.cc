#include "engine/constraint/automaton_builder.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/constraint/char_bytes.h"

namespace corral::engine {

int32_t AutomatonBuilder::add_node() {
  if (nodes_.size() >= Automaton::kMostNodes) {
    throw UsageError(str("the grammar needs more than ", Automaton::kMostNodes,
                         " states: bound its repetitions more tightly"));
  }
  nodes_.push_back({.rule = current_rule_});
  return static_cast<int32_t>(nodes_.size()) - 1;
}

void AutomatonBuilder::count_edge() {
  if (++edges_ > Automaton::kMostEdges) {
    throw UsageError(str("the grammar needs more than ", Automaton::kMostEdges, " transitions"));
  }
}

void AutomatonBuilder::empty_edge(int32_t from, int32_t to) {
  count_edge();
  node(from).empties.push_back(to);
}

int32_t AutomatonBuilder::rule_number(RuleId rule) {
  int32_t& number = numbers_[static_cast<size_t>(rule)];
  if (number < 0) {
    number = static_cast<int32_t>(rules_.size());
    rules_.push_back(rule);
  }
  return number;
}

void AutomatonBuilder::add_expr(ExprId id, int32_t from, int32_t to) {
  const Grammar::Expr& expr = grammar_.expr(id);
  switch (expr.kind) {
    case Grammar::Kind::kBytes:
      for (size_t i = 0; i < expr.bytes.size(); ++i) {
        const auto byte = static_cast<uint8_t>(expr.bytes[i]);
        const int32_t next = i + 1 == expr.bytes.size() ? to : add_node();
        count_edge();
        node(from).bytes.push_back({byte, byte, next});
        from = next;
      }
      break;
    case Grammar::Kind::kChars:
      add_chars(expr, from, to);
      break;
    case Grammar::Kind::kSequence:
      for (size_t i = 0; i < expr.parts.size(); ++i) {
        const int32_t next = i + 1 == expr.parts.size() ? to : add_node();
        add_expr(expr.parts[i], from, next);
        from = next;
      }
      if (expr.parts.empty()) empty_edge(from, to);
      break;
    case Grammar::Kind::kChoice:
      for (const ExprId part : expr.parts) add_expr(part, from, to);
      break;
    case Grammar::Kind::kRepeat:
      add_repeat(expr, from, to);
      break;
    case Grammar::Kind::kRule:
      if (inlined_[static_cast<size_t>(expr.rule)]) {
        add_expr(grammar_.rules()[static_cast<size_t>(expr.rule)].expr, from, to);
      } else {
        count_edge();
        const int32_t rule = rule_number(expr.rule);
        node(from).calls.push_back({rule, to});
      }
      break;
    case Grammar::Kind::kGraph:
      add_graph(expr, from, to);
      break;
  }
}

// Spellings that end alike share the nodes of their ends.
void AutomatonBuilder::add_chars(const Grammar::Expr& expr, int32_t from, int32_t to) {
  for (const auto& sequence : spellings(expr.set, expr.spelling)) {
    int32_t next = to;
    for (size_t i = sequence.size() - 1; i > 0; --i) {
      const auto [tail, is_new] = tails_.try_emplace({sequence[i].low, sequence[i].high, next}, -1);
      if (is_new) {
        tail->second = add_node();
        count_edge();
        node(tail->second).bytes.push_back({sequence[i].low, sequence[i].high, next});
      }
      next = tail->second;
    }
    count_edge();
    node(from).bytes.push_back({sequence[0].low, sequence[0].high, next});
  }
}

void AutomatonBuilder::add_repeat(const Grammar::Expr& expr, int32_t from, int32_t to) {
  int32_t last = add_node();
  empty_edge(from, last);
  for (int64_t i = 0; i < std::max(expr.min, expr.max); ++i) {
    if (i >= expr.min) empty_edge(last, to);
    const int32_t next = add_node();
    add_expr(expr.parts[0], last, next);
    last = next;
  }
  if (expr.max < 0) {
    // A node of its own behind the part keeps what loops here from the nodes around.
    const int32_t behind = add_node();
    add_expr(expr.parts[0], last, behind);
    empty_edge(behind, last);
  }
  empty_edge(last, to);
}

void AutomatonBuilder::add_graph(const Grammar::Expr& expr, int32_t from, int32_t to) {
  const auto first = static_cast<int32_t>(nodes_.size());
  for (int32_t i = 0; i < expr.nodes; ++i) add_node();
  empty_edge(from, first);
  for (const auto& edge : expr.edges) {
    if (edge.expr == Grammar::kNothing) {
      empty_edge(first + edge.from, first + edge.to);
    } else {
      add_expr(edge.expr, first + edge.from, first + edge.to);
    }
  }
  for (const int32_t end : expr.finals) empty_edge(first + end, to);
}

void AutomatonBuilder::build_rules() {
  inlined_ = inlined_rules(grammar_);
  inlined_[0] = false;
  numbers_.assign(grammar_.rules().size(), -1);
  rule_number(0);
  for (size_t i = 0; i < rules_.size(); ++i) {
    const auto& rule = grammar_.rules()[static_cast<size_t>(rules_[i])];
    if (rule.expr < 0) throw UsageError(str("the grammar has no rule named ", rule.name));
    current_rule_ = static_cast<int32_t>(i);
    tails_.clear();
    starts_.push_back(add_node());
    const int32_t end = add_node();
    node(end).is_end = true;
    add_expr(rule.expr, starts_.back(), end);
  }
}

void AutomatonBuilder::store(Automaton& automaton) const {
  const std::vector<bool> only_ends = find_only_ends();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& from = nodes_[i];
    automaton.flags_.push_back({from.is_end, only_ends[i]});
    const auto add = [](auto& lists, const auto& items) {
      lists.begins.push_back(static_cast<int32_t>(lists.items.size()));
      lists.items.insert(lists.items.end(), items.begin(), items.end());
    };
    add(automaton.bytes_, from.bytes);
    add(automaton.empties_, from.empties);
    add(automaton.calls_, from.calls);
  }
  automaton.bytes_.begins.push_back(static_cast<int32_t>(automaton.bytes_.items.size()));
  automaton.empties_.begins.push_back(static_cast<int32_t>(automaton.empties_.items.size()));
  automaton.calls_.begins.push_back(static_cast<int32_t>(automaton.calls_.items.size()));
  automaton.starts_ = starts_;
  automaton.nullable_ = nullable_;
  automaton.ranks_ = ranks_;
}

void AutomatonBuilder::build(Automaton& automaton) {
  if (grammar_.rules().empty()) throw UsageError("the grammar has no rules");
  build_rules();
  keep_productive();
  find_nullable();
  rank_rules();
  store(automaton);
}

Automaton::Automaton(const Grammar& grammar) {
  AutomatonBuilder(grammar).build(*this);
  find_byte_classes();
}

void Automaton::find_byte_classes() {
  std::array<bool, 257> border{};
  border[0] = true;
  for (const ByteEdge& edge : bytes_.items) {
    border[edge.low] = true;
    border[static_cast<size_t>(edge.high) + 1] = true;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (border[byte]) {
      class_bytes_.push_back(static_cast<uint8_t>(byte));
      ++class_count_;
    }
    classes_[byte] = static_cast<uint8_t>(class_count_ - 1);
  }
}

}  // namespace corral::engine
