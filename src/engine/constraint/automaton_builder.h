#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "engine/constraint/automaton.h"
#include "engine/constraint/grammar.h"

namespace corral::engine {

/// Makes the network of a grammar and checks it: automaton.h says what for.
class AutomatonBuilder {
 public:
  explicit AutomatonBuilder(const Grammar& grammar) : grammar_(grammar) {}
  void build(Automaton& automaton);

 private:
  struct Node {
    std::vector<Automaton::ByteEdge> bytes = {};
    std::vector<int32_t> empties = {};
    std::vector<Automaton::CallEdge> calls = {};
    int32_t rule = 0;
    bool is_end = false;
    bool productive = false;
  };

  // automaton_builder.cc: expressions to nodes.
  int32_t add_node();
  void count_edge();
  void empty_edge(int32_t from, int32_t to);
  int32_t rule_number(RuleId rule);
  void add_expr(ExprId id, int32_t from, int32_t to);
  void add_chars(const Grammar::Expr& expr, int32_t from, int32_t to);
  void add_repeat(const Grammar::Expr& expr, int32_t from, int32_t to);
  void add_graph(const Grammar::Expr& expr, int32_t from, int32_t to);
  void build_rules();
  void store(Automaton& automaton) const;

  // automaton_checks.cc: what holds for the nodes.
  void keep_productive();
  void find_nullable();
  void rank_rules();
  std::vector<bool> find_only_ends() const;

  Node& node(int32_t id) { return nodes_[static_cast<size_t>(id)]; }
  const Node& node(int32_t id) const { return nodes_[static_cast<size_t>(id)]; }

  const Grammar& grammar_;
  std::vector<bool> inlined_;     // by rule of the grammar
  std::vector<int32_t> numbers_;  // rule of the grammar -> rule of the automaton, or -1
  std::vector<RuleId> rules_;     // and back
  std::vector<int32_t> starts_;
  std::vector<Node> nodes_;
  size_t edges_ = 0;
  int32_t current_rule_ = 0;
  std::map<std::tuple<uint8_t, uint8_t, int32_t>, int32_t> tails_;  // nodes with one edge
  std::vector<bool> nullable_;
  std::vector<std::vector<int32_t>> left_calls_;  // rules that a rule may enter at its beginning
  std::vector<int32_t> ranks_;
};

/// Which rules are copied into the places that use them: small ones without loops or recursion that
/// are not to be kept apart.
std::vector<bool> inlined_rules(const Grammar& grammar);

}  // namespace corral::engine
