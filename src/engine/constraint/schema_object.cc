// What a list of schemas without references and choices says about objects.
#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "engine/constraint/json_schema.h"

namespace corral::engine {
namespace {

constexpr size_t kMostPatterns = 4;  // of names: each doubles the kinds of names

}  // namespace

/// The names of an object's members.
struct SchemaCompiler::Names {
  std::vector<std::string> declared;  // in order
  std::set<std::string> required;
};

SchemaCompiler::Names SchemaCompiler::names_of(const SchemaNodes& nodes) {
  Names names;
  std::set<std::string> known;
  for (const SchemaNode& node : nodes) {
    if (const auto* properties = node.find("properties")) {
      for (const auto& [name, schema] : properties->items()) {
        if (known.insert(name).second) names.declared.push_back(name);
      }
    }
  }
  for (const SchemaNode& node : nodes) {
    const auto* required = node.find("required");
    if (required == nullptr) continue;
    for (const OrderedJson& name : *required) {
      names.required.insert(name.get<std::string>());
      if (known.insert(name.get<std::string>()).second) names.declared.push_back(name);
    }
  }
  return names;
}

// The schemas that hold for the member of this name.
SchemaNodes SchemaCompiler::schemas_of(const SchemaNodes& nodes, const std::string& name) {
  SchemaNodes all;
  for (const SchemaNode& node : nodes) {
    bool known = false;
    if (const auto* properties = node.find("properties");
        properties != nullptr && properties->contains(name)) {
      all.push_back(node.below("properties").below(name));
      known = true;
    }
    if (const auto* patterns = node.find("patternProperties")) {
      for (const auto& [text, schema] : patterns->items()) {
        if (!pattern(node, text).contains(name)) continue;
        all.push_back(node.below("patternProperties").below(text));
        known = true;
      }
    }
    if (!known && node.find("additionalProperties") != nullptr) {
      all.push_back(node.below("additionalProperties"));
    }
  }
  return all;
}

// Members that no schema names. Where patterns tell their names apart, the names that match a
// certain part of the patterns and no other have schemas of their own.
ExprId SchemaCompiler::other_members(const SchemaNodes& nodes, const Names& names) {
  struct Pattern {
    const SchemaNode* node;
    std::string text;
  };
  std::vector<Pattern> patterns;
  bool open = true;  // unless something says otherwise
  for (const SchemaNode& node : nodes) {
    if (node.find("properties") != nullptr || node.find("patternProperties") != nullptr) {
      open = false;
    }
    if (const auto* list = node.find("patternProperties")) {
      for (const auto& [text, schema] : list->items()) patterns.push_back({&node, text});
    }
  }
  for (const SchemaNode& node : nodes) open = open || node.find("additionalProperties") != nullptr;
  if (patterns.size() > kMostPatterns) {
    nodes.front().fail(str("more than ", kMostPatterns, " patterns of names are not supported"));
  }
  std::vector<ExprId> parts;
  for (size_t matched = 0; matched < size_t{1} << patterns.size(); ++matched) {
    SchemaNodes schemas;
    for (const SchemaNode& node : nodes) {
      bool known = false;
      for (size_t i = 0; i < patterns.size(); ++i) {
        if (patterns[i].node != &node || (matched >> i & 1) == 0) continue;
        schemas.push_back(node.below("patternProperties").below(patterns[i].text));
        known = true;
      }
      if (!known && node.find("additionalProperties") != nullptr) {
        schemas.push_back(node.below("additionalProperties"));
      }
    }
    const bool never = std::any_of(schemas.begin(), schemas.end(),
                                   [](const SchemaNode& node) { return *node.json == false; });
    if (never || (matched == 0 && !open)) continue;
    ExprId key = -1;
    if (names.declared.empty() && patterns.empty()) {
      key = pieces_.string();
    } else {
      CharDfa texts = ~CharDfa::texts(names.declared);
      for (size_t i = 0; i < patterns.size(); ++i) {
        const CharDfa& matching = pattern(*patterns[i].node, patterns[i].text);
        texts = texts & ((matched >> i & 1) != 0 ? matching : ~matching);
      }
      key = pieces_.string_of(texts);
    }
    parts.push_back(pieces_.member(key, call(std::move(schemas))));
  }
  return parts.empty() ? -1 : pieces_.grammar().choice(std::move(parts));
}

ExprId SchemaCompiler::object(const SchemaNodes& nodes) {
  Names names = names_of(nodes);
  Grammar& g = pieces_.grammar();
  std::vector<JsonPieces::Member> members;
  for (const std::string& name : names.declared) {
    SchemaNodes schemas = schemas_of(nodes, name);
    const bool never = std::any_of(schemas.begin(), schemas.end(),
                                   [](const SchemaNode& node) { return *node.json == false; });
    const bool required = names.required.contains(name);
    if (never && required) return g.choice({});
    if (never) continue;
    members.push_back(
        {pieces_.member(g.bytes(json_text(name)), call(std::move(schemas))), required});
  }
  const ExprId others = other_members(nodes, names);

  int64_t least = 0;
  int64_t most = -1;
  const SchemaNode* at_least = nullptr;
  const SchemaNode* at_most = nullptr;
  for (const SchemaNode& node : nodes) {
    if (const int64_t here = count_of(node, "minProperties", 0); here > least) {
      least = here;
      at_least = &node;
    }
    const int64_t here = count_of(node, "maxProperties", -1);
    if (here >= 0 && (most < 0 || here < most)) {
      most = here;
      at_most = &node;
    }
  }
  const auto declared = static_cast<int64_t>(members.size());
  if (least <= static_cast<int64_t>(names.required.size())) least = 0;
  if (most >= declared && others < 0) most = -1;
  if (least == 0 && most < 0) return pieces_.object_of(members, others);
  // Names that a schema does not list may come twice, and then count once.
  if (least > 1 || (least == 1 && declared > 0)) {
    at_least->fail(
        "'minProperties' is supported where the required members are as many, and as 1 for objects "
        "without listed members");
  }
  if (most >= 0 && declared > 0) {
    at_most->fail(
        "'maxProperties' beside 'properties' is not supported, unless it is no less than all of "
        "them and no others are allowed");
  }
  if (most > static_cast<int64_t>(CharDfa::kMostStates)) {
    at_most->fail(str("'maxProperties' can be at most ", CharDfa::kMostStates));
  }
  if (least == 1 && (others < 0 || most == 0)) return g.choice({});
  return pieces_.object_of(members, others, most, least == 1);
}

}  // namespace corral::engine
