#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/constraint/grammar.h"

namespace corral::engine {

using OrderedJson = nlohmann::ordered_json;

/// What JSON texts are made of, as parts of a grammar. Between parts white space may stand as
/// people and serializers write it: one space, or one or two line ends with indentation; so a model
/// cannot write space for ever. Numbers have so few digits that every reader can hold them.
class JsonPieces {
 public:
  explicit JsonPieces(Grammar& grammar) : grammar_(grammar) {}

  Grammar& grammar() { return grammar_; }
  ExprId space();
  /// Any string of min to max (-1: any number of) characters, in all spellings that JSON has; half
  /// surrogate pairs are none.
  ExprId string(int64_t min = 0, int64_t max = -1);
  /// A string whose text is one of these, spelled with no more escapes than JSON demands.
  ExprId string_of(const CharDfa& texts);
  ExprId number();
  ExprId value();
  ExprId object();
  /// This value, its members in this order.
  ExprId constant(const OrderedJson& value);
  /// "key": value
  ExprId member(ExprId key, ExprId value);
  /// [ ... ] of min to max items (-1: any number): first one of each of `first`, then `rest`. A
  /// negative rest: none.
  ExprId array(const std::vector<ExprId>& first, ExprId rest, int64_t min, int64_t max);

  struct Member {
    ExprId pair;
    bool required;
  };
  /// { ... } of these members in this order, then up to `most` (-1: any number) of `others` (at
  /// least one if needs_other). A negative `others`: none.
  ExprId object_of(const std::vector<Member>& members, ExprId others, int64_t most = -1,
                   bool needs_other = false);

 private:
  ExprId rule(const std::string& name, ExprId expr);
  ExprId character();
  ExprId separated(ExprId part) { return grammar_.sequence({grammar_.bytes(","), space(), part}); }

  Grammar& grammar_;
  ExprId space_ = -1;
  ExprId number_ = -1;
  RuleId value_ = -1;
  ExprId object_ = -1;
  std::map<std::pair<int64_t, int64_t>, ExprId> strings_;
};

/// The value as JSON text, with non-ASCII characters as they are.
std::string json_text(const OrderedJson& value);

}  // namespace corral::engine
