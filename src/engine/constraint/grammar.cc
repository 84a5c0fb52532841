#include "engine/constraint/grammar.h"

#include <map>
#include <utility>

#include "base/error.h"

namespace corral::engine {

Grammar::Grammar() { exprs_.emplace_back(); }

RuleId Grammar::add_rule(std::string name) {
  if (rules_.size() >= kMostParts) throw UsageError("the grammar has too many rules");
  rules_.push_back({.name = std::move(name)});
  return static_cast<RuleId>(rules_.size()) - 1;
}

void Grammar::define(RuleId rule, ExprId expr) { rules_[static_cast<size_t>(rule)].expr = expr; }

ExprId Grammar::add(Expr expr) {
  if (exprs_.size() >= kMostParts) {
    throw UsageError(str("the grammar has more than ", kMostParts, " parts"));
  }
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size()) - 1;
}

ExprId Grammar::bytes(std::string_view text) {
  if (text.empty()) return kNothing;
  return add({.kind = Kind::kBytes, .bytes = std::string(text)});
}

ExprId Grammar::chars(const CharSet& set, Spelling spelling) {
  return add({.kind = Kind::kChars, .spelling = spelling, .set = set});
}

ExprId Grammar::sequence(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::kSequence, .parts = std::move(parts)});
}

ExprId Grammar::choice(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::kChoice, .parts = std::move(parts)});
}

ExprId Grammar::repeat(ExprId part, int64_t min, int64_t max) {
  if (min == 1 && max == 1) return part;
  return add({.kind = Kind::kRepeat, .parts = {part}, .min = min, .max = max});
}

ExprId Grammar::call(RuleId rule) { return add({.kind = Kind::kRule, .rule = rule}); }

ExprId Grammar::graph(int32_t nodes, std::vector<int32_t> finals, std::vector<Edge> edges) {
  return add({.kind = Kind::kGraph,
              .nodes = nodes,
              .finals = std::move(finals),
              .edges = std::move(edges)});
}

ExprId Grammar::texts(const CharDfa& dfa, Spelling spelling) {
  std::vector<int32_t> finals;
  std::vector<Edge> edges;
  for (size_t i = 0; i < dfa.states().size(); ++i) {
    const auto& state = dfa.states()[i];
    if (state.accepts) finals.push_back(static_cast<int32_t>(i));
    std::map<int, std::vector<CharSet::Range>> ranges;  // by where they lead
    for (const auto& arc : state.arcs) ranges[arc.to].push_back({arc.low, arc.high});
    for (auto& [to, list] : ranges) {
      edges.push_back({static_cast<int32_t>(i), to, chars(CharSet::of(std::move(list)), spelling)});
    }
  }
  if (dfa.empty()) return choice({});
  return graph(static_cast<int32_t>(dfa.states().size()), std::move(finals), std::move(edges));
}

}  // namespace corral::engine
