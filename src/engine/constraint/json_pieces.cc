#include "engine/constraint/json_pieces.h"

#include <algorithm>

#include "base/error.h"
#include "engine/constraint/regex.h"

namespace corral::engine {
namespace {

// A node for each possible length, and for each of these the escapes.
constexpr int64_t kMostCountedChars = 8000;

}  // namespace

std::string json_text(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

ExprId JsonPieces::rule(const std::string& name, ExprId expr) {
  const RuleId rule = grammar_.add_rule(name);
  grammar_.define(rule, expr);
  grammar_.keep_apart(rule);
  return grammar_.call(rule);
}

ExprId JsonPieces::space() {
  if (space_ < 0) {
    Grammar& g = grammar_;
    const ExprId indent = g.choice({g.repeat(g.bytes(" "), 0, 64), g.repeat(g.bytes("\t"), 1, 16)});
    const ExprId line_end = g.sequence({g.optional(g.bytes("\r")), g.bytes("\n")});
    space_ =
        rule("space",
             g.optional(g.choice({g.bytes(" "), g.sequence({g.repeat(line_end, 1, 2), indent})})));
  }
  return space_;
}

// A character of a string, in any spelling.
ExprId JsonPieces::character() {
  Grammar& g = grammar_;
  const CharSet controls = CharSet::range(0, 0x1F);
  const auto hex = [&](uint32_t low, uint32_t high) {
    CharSet set;
    for (uint32_t digit = low; digit <= high; ++digit) {
      const auto upper = static_cast<unsigned char>("0123456789ABCDEF"[digit]);
      set = set | CharSet::one(upper) | CharSet::one(digit < 10 ? upper : upper + 32u);
    }
    return g.chars(set);
  };
  const ExprId any = hex(0, 15);
  // Below D800 and above DFFF one escape is a character, between them two are.
  const ExprId one =
      g.choice({g.sequence({hex(0, 12), any, any, any}), g.sequence({hex(14, 15), any, any, any}),
                g.sequence({hex(13, 13), hex(0, 7), any, any})});
  const ExprId pair = g.sequence(
      {hex(13, 13), hex(8, 11), any, any, g.bytes("\\u"), hex(13, 13), hex(12, 15), any, any});
  CharSet letters;
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) {
    letters = letters | CharSet::one(static_cast<unsigned char>(c));
  }
  const ExprId escape =
      g.sequence({g.bytes("\\"),
                  g.choice({g.chars(letters), g.sequence({g.bytes("u"), g.choice({one, pair})})})});
  return g.choice({g.chars(~(controls | CharSet::one('"') | CharSet::one('\\'))), escape});
}

ExprId JsonPieces::string(int64_t min, int64_t max) {
  if (std::max(min, max) > kMostCountedChars) {
    throw UsageError(str("minLength and maxLength can be at most ", kMostCountedChars));
  }
  const auto [entry, is_new] = strings_.try_emplace({min, max}, -1);
  if (is_new) {
    Grammar& g = grammar_;
    entry->second =
        max >= 0 && max < min
            ? g.choice({})
            : rule("string",
                   g.sequence({g.bytes("\""), g.repeat(character(), min, max), g.bytes("\"")}));
  }
  return entry->second;
}

ExprId JsonPieces::string_of(const CharDfa& texts) {
  Grammar& g = grammar_;
  if (texts.empty()) return g.choice({});
  return rule("text", g.sequence({g.bytes("\""), g.texts(texts, Spelling::kJson), g.bytes("\"")}));
}

ExprId JsonPieces::number() {
  if (number_ < 0) {
    constexpr const char* kPattern = R"(-?(0|[1-9]\d{0,17})(\.\d{1,18})?([eE][+\-]?\d{1,2})?)";
    number_ =
        rule("number", grammar_.texts(regex_texts(kPattern, RegexScope::kWhole), Spelling::kUtf8));
  }
  return number_;
}

ExprId JsonPieces::value() {
  if (value_ < 0) {
    value_ = grammar_.add_rule("value");
    const ExprId items = array({}, grammar_.call(value_), 0, -1);
    grammar_.define(value_,
                    grammar_.choice({object(), items, string(), number(), grammar_.bytes("true"),
                                     grammar_.bytes("false"), grammar_.bytes("null")}));
  }
  return grammar_.call(value_);
}

ExprId JsonPieces::object() {
  if (object_ < 0) {
    const RuleId rule = grammar_.add_rule("object");
    object_ = grammar_.call(rule);
    grammar_.define(rule, object_of({}, member(string(), value())));
  }
  return object_;
}

ExprId JsonPieces::member(ExprId key, ExprId value) {
  return grammar_.sequence({key, grammar_.bytes(":"), space(), value});
}

ExprId JsonPieces::constant(const OrderedJson& value) {
  if (value.is_array()) {
    std::vector<ExprId> items;
    for (const OrderedJson& item : value) items.push_back(constant(item));
    const auto count = static_cast<int64_t>(items.size());
    return array(items, -1, count, count);
  }
  if (value.is_object()) {
    std::vector<Member> members;
    for (const auto& [key, item] : value.items()) {
      members.push_back({member(grammar_.bytes(json_text(key)), constant(item)), true});
    }
    return object_of(members, -1);
  }
  return grammar_.bytes(json_text(value));
}

// Node i: i items have been read; the last node is behind the bracket.
ExprId JsonPieces::array(const std::vector<ExprId>& first, ExprId rest, int64_t min, int64_t max) {
  Grammar& g = grammar_;
  const auto known = static_cast<int64_t>(first.size());
  if (rest < 0) max = max < 0 ? known : std::min(max, known);
  if (max >= 0 && max < min) return g.choice({});
  const int64_t last = max >= 0 ? max : std::max({known, min, int64_t{1}});
  if (last >= static_cast<int64_t>(Grammar::kMostParts)) {
    throw UsageError(str("minItems and maxItems can be at most ", Grammar::kMostParts));
  }
  const auto item = [&](int64_t i) { return i < known ? first[static_cast<size_t>(i)] : rest; };
  const auto end = static_cast<int32_t>(last) + 1;
  std::vector<Grammar::Edge> edges;
  const ExprId close = g.sequence({space(), g.bytes("]")});
  const ExprId next_rest = rest < 0 ? -1 : separated(rest);
  for (int32_t i = 0; i < end; ++i) {
    if (i >= min) edges.push_back({i, end, close});
    if (i == last) break;
    const ExprId next = i == 0      ? g.sequence({space(), item(0)})
                        : i < known ? separated(item(i))
                                    : next_rest;
    edges.push_back({i, i + 1, next});
  }
  if (max < 0) edges.push_back({end - 1, end - 1, next_rest});
  return g.sequence({g.bytes("["), g.graph(end + 1, {end}, std::move(edges))});
}

// Nodes 2 i and 2 i + 1: the first i members have been read or passed by, and none or some have
// been read.
ExprId JsonPieces::object_of(const std::vector<Member>& members, ExprId others, int64_t most,
                             bool needs_other) {
  Grammar& g = grammar_;
  const auto n = static_cast<int32_t>(members.size());
  std::vector<Grammar::Edge> edges;
  const auto read = [&](int32_t from_none, int32_t from_some, int32_t to, ExprId pair) {
    if (from_none >= 0) edges.push_back({from_none, to, g.sequence({space(), pair})});
    edges.push_back({from_some, to, separated(pair)});
  };
  for (int32_t i = 0; i < n; ++i) {
    const Member& member = members[static_cast<size_t>(i)];
    read(2 * i, 2 * i + 1, 2 * i + 3, member.pair);
    if (member.required) continue;
    edges.push_back({2 * i, 2 * i + 2, Grammar::kNothing});
    edges.push_back({2 * i + 1, 2 * i + 3, Grammar::kNothing});
  }
  const int32_t none = 2 * n;
  const int32_t some = 2 * n + 1;
  const int32_t end = 2 * n + 2;
  int32_t nodes = end + 1;
  const ExprId close = g.sequence({space(), g.bytes("}")});
  if (!needs_other) {
    edges.push_back({none, end, close});
    edges.push_back({some, end, close});
  }
  if (others >= 0 && most != 0) {
    int32_t last = nodes++;
    read(none, some, last, others);
    edges.push_back({last, end, close});
    if (most < 0) edges.push_back({last, last, separated(others)});
    for (int64_t i = 1; i < most; ++i) {
      edges.push_back({last, nodes, separated(others)});
      last = nodes++;
      edges.push_back({last, end, close});
    }
  }
  return g.sequence({g.bytes("{"), g.graph(nodes, {end}, std::move(edges))});
}

}  // namespace corral::engine
