#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint/char_automaton.h"
#include "engine/constraint/char_set.h"

namespace corral::engine {

using ExprId = int32_t;
using RuleId = int32_t;

/// How characters become bytes.
enum class Spelling : uint8_t {
  kUtf8,
  kJson,  // inside a JSON string: quotes, backslashes and control characters are escaped
};

/// A context-free grammar over bytes: rules whose right-hand sides are expressions. Expressions are
/// values in this object and may be used in several places. Rule 0 is where texts begin.
class Grammar {
 public:
  struct Edge {
    int32_t from;
    int32_t to;
    ExprId expr;  // kNothing: reads nothing
  };
  enum class Kind : uint8_t { kBytes, kChars, kSequence, kChoice, kRepeat, kRule, kGraph };
  struct Expr {
    Kind kind = Kind::kSequence;
    Spelling spelling = Spelling::kUtf8;  // kChars
    std::string bytes = {};               // kBytes
    CharSet set = {};                     // kChars
    std::vector<ExprId> parts = {};       // kSequence, kChoice; kRepeat has one
    int64_t min = 0;                      // kRepeat
    int64_t max = -1;                     // kRepeat; -1: any number
    RuleId rule = -1;                     // kRule
    int32_t nodes = 0;                    // kGraph: node 0 is its way in
    std::vector<int32_t> finals = {};     // kGraph: its ways out
    std::vector<Edge> edges = {};         // kGraph
  };
  struct Rule {
    std::string name;
    ExprId expr = -1;
    bool keep = false;  // never copied into the places that use it
  };

  /// The most rules and expressions of a grammar; beyond it everything here throws UsageError.
  static constexpr size_t kMostParts = 200'000;
  static constexpr ExprId kNothing = 0;

  Grammar();

  /// A rule to be defined later.
  RuleId add_rule(std::string name);
  void define(RuleId rule, ExprId expr);
  /// Its places share what is known about it (which tokens may come at one of its states), at the
  /// price that its end is looked at apart. Good for what reads much: texts, white space.
  void keep_apart(RuleId rule) { rules_[static_cast<size_t>(rule)].keep = true; }

  ExprId bytes(std::string_view text);
  ExprId chars(const CharSet& set, Spelling spelling = Spelling::kUtf8);
  ExprId sequence(std::vector<ExprId> parts);
  /// Of nothing: no text at all.
  ExprId choice(std::vector<ExprId> parts);
  ExprId repeat(ExprId part, int64_t min, int64_t max);
  ExprId optional(ExprId part) { return repeat(part, 0, 1); }
  ExprId call(RuleId rule);
  ExprId graph(int32_t nodes, std::vector<int32_t> finals, std::vector<Edge> edges);
  ExprId texts(const CharDfa& dfa, Spelling spelling);

  const std::vector<Rule>& rules() const { return rules_; }
  const Expr& expr(ExprId id) const { return exprs_[static_cast<size_t>(id)]; }

 private:
  ExprId add(Expr expr);
  std::vector<Rule> rules_;
  std::vector<Expr> exprs_;
};

}  // namespace corral::engine
