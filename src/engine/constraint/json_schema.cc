#include "engine/constraint/json_schema.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "engine/constraint/grammar_text.h"

namespace corral::engine {
namespace {

constexpr size_t kMostAlternatives = 1000;
constexpr size_t kMostRules = 20'000;
constexpr int kMostReferences = 100;   // one behind the other
constexpr size_t kMostBranches = 256;  // of oneOf
constexpr int kMostExpansions = 100'000;
constexpr size_t kMostInside = 500;
constexpr size_t kMostCompared = 1000;  // listed values of two branches

bool share_no_value(const OrderedJson& a, const OrderedJson& b) {
  if (a.size() > kMostCompared || b.size() > kMostCompared) return false;  // too many to tell
  return std::none_of(a.begin(), a.end(), [&](const OrderedJson& value) {
    return std::find(b.begin(), b.end(), value) != b.end();
  });
}

bool requires_name(const SchemaNode& node, const std::string& name) {
  const OrderedJson* required = node.find("required");
  return required != nullptr &&
         std::find(required->begin(), required->end(), name) != required->end();
}

/// The types that a value of this node can have, as far as the node itself says.
uint32_t possible_types(const SchemaNode& node) {
  uint32_t bits = named_types(node).bits;
  OrderedJson storage;
  if (const OrderedJson* values = listed_values(node, storage)) {
    uint32_t listed = 0;
    for (const OrderedJson& value : *values) listed |= type_of(value);
    bits &= listed;
  }
  return bits;
}

}  // namespace

/// A schema that is still to be looked at, and those that led to it, which it must not be.
struct SchemaCompiler::Open {
  SchemaNode node;
  std::vector<const OrderedJson*> inside = {};
};

ExprId SchemaCompiler::compile_object() {
  static const OrderedJson an_object = {{"type", "object"}};
  return compile({{&an_object, ""}});
}

ExprId SchemaCompiler::compile(SchemaNodes more) {
  more.insert(more.begin(), {&document_, ""});
  const ExprId root = call(std::move(more));
  while (!pending_.empty()) {
    const auto [rule, nodes] = std::move(pending_.back());
    pending_.pop_back();
    pieces_.grammar().define(rule, alternatives(nodes));
  }
  return root;
}

// A schema that is nothing but a reference is what it refers to.
SchemaNode SchemaCompiler::followed(SchemaNode node) {
  for (int i = 0;; ++i) {
    check_keywords(node);
    if (!is_only_reference(node)) return node;
    if (i == kMostReferences)
      node.fail("the $ref leads back to itself, or through too many others");
    node = resolve_reference(node, document_);
  }
}

// Lists of the same schemas share a rule: so recursion ends.
RuleId SchemaCompiler::rule_of(SchemaNodes nodes) {
  std::vector<const OrderedJson*> key;
  SchemaNodes kept;
  for (SchemaNode& node : nodes) {
    node = followed(std::move(node));
    if (*node.json == true || std::find(key.begin(), key.end(), node.json) != key.end()) continue;
    key.push_back(node.json);
    kept.push_back(std::move(node));
  }
  std::sort(key.begin(), key.end());
  const auto found = rules_.find(key);
  if (found != rules_.end()) return found->second;
  if (rules_.size() >= kMostRules) {
    throw UsageError(
        str("json schema: more than ", kMostRules, " schemas hold somewhere together"));
  }
  const std::string name = kept.empty() || kept[0].path.empty() ? "schema" : kept[0].path;
  const RuleId rule = pieces_.grammar().add_rule(name);
  rules_.emplace(std::move(key), rule);
  pending_.emplace_back(rule, std::move(kept));
  return rule;
}

ExprId SchemaCompiler::alternatives(const SchemaNodes& nodes) {
  if (nodes.empty()) return pieces_.value();
  std::vector<SchemaNodes> choices;
  std::vector<Open> open;
  for (const SchemaNode& node : nodes) open.push_back({node});
  std::reverse(open.begin(), open.end());  // taken from the back
  expand(std::move(open), {}, choices);
  std::vector<ExprId> parts;
  for (const SchemaNodes& choice : choices) parts.push_back(flat(choice));
  return pieces_.grammar().choice(std::move(parts));
}

// Takes `open` apart into lists without references, allOf, anyOf and oneOf: one list for each way
// to choose. `flat` are the schemas that were looked at, whose own keywords hold in all of them.
void SchemaCompiler::expand(std::vector<Open> open, SchemaNodes flat,
                            std::vector<SchemaNodes>& out) {
  while (!open.empty()) {
    Open next = std::move(open.back());
    open.pop_back();
    const SchemaNode node = followed(std::move(next.node));
    if (++expansions_ > kMostExpansions) node.fail("allOf, anyOf and oneOf are too many here");
    if (node.json->is_boolean()) {
      if (*node.json == false) return;
      continue;
    }
    const auto& inside = next.inside;
    if (inside.size() > kMostInside ||
        std::find(inside.begin(), inside.end(), node.json) != inside.end()) {
      node.fail(
          "the schema leads back to itself, or through too many others, with no member or "
          "item between");
    }
    const bool known = std::any_of(
        flat.begin(), flat.end(), [&](const SchemaNode& other) { return other.json == node.json; });
    if (known) continue;
    flat.push_back(node);
    next.inside.push_back(node.json);
    if (node.find("$ref") != nullptr) {
      open.push_back({resolve_reference(node, document_), next.inside});
    }
    if (const OrderedJson* all = node.find("allOf")) {
      for (size_t i = all->size(); i-- > 0;) {
        open.push_back({node.below("allOf").below(i), next.inside});
      }
    }
    const bool has_any = node.find("anyOf") != nullptr;
    const bool has_one = node.find("oneOf") != nullptr;
    if (has_any && has_one) node.fail("anyOf and oneOf in one schema are not supported");
    if (!has_any && !has_one) continue;
    if (has_one) check_disjoint(node);
    const SchemaNode list = node.below(has_any ? "anyOf" : "oneOf");
    for (size_t i = 0; i < list.json->size(); ++i) {
      std::vector<Open> with = open;
      with.push_back({list.below(i), next.inside});
      expand(std::move(with), flat, out);
    }
    return;
  }
  if (out.size() >= kMostAlternatives) {
    flat.front().fail(str("anyOf and oneOf multiply to more than ", kMostAlternatives, " cases"));
  }
  out.push_back(std::move(flat));
}

void SchemaCompiler::check_disjoint(const SchemaNode& node) {
  const SchemaNode list = node.below("oneOf");
  if (list.json->size() > kMostBranches) {
    node.fail(str("'oneOf' has more than ", kMostBranches, " branches"));
  }
  for (size_t i = 0; i < list.json->size(); ++i) {
    for (size_t j = i + 1; j < list.json->size(); ++j) {
      if (disjoint(list.below(i), list.below(j), 0)) continue;
      node.fail(str("the branches ", i, " and ", j,
                    " of 'oneOf' may both match, which is not supported; use anyOf, or give them "
                    "different types or a required member with different constants"));
    }
  }
}

// Surely no value is valid for both. Knows different types, different listed values, members that
// tell objects apart, and members that one must have and the other cannot.
bool SchemaCompiler::disjoint(SchemaNode a, SchemaNode b, int depth) {
  a = followed(std::move(a));
  b = followed(std::move(b));
  if (*a.json == false || *b.json == false) return true;
  const uint32_t both = possible_types(a) & possible_types(b);
  if (both == 0) return true;
  OrderedJson a_storage;
  OrderedJson b_storage;
  const OrderedJson* a_values = listed_values(a, a_storage);
  const OrderedJson* b_values = listed_values(b, b_storage);
  if (a_values != nullptr && b_values != nullptr && share_no_value(*a_values, *b_values)) {
    return true;
  }
  if (both != json_type::kObject || depth > 3) return false;
  for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    const OrderedJson* required = one->find("required");
    if (required == nullptr) continue;
    const OrderedJson* properties = other->find("properties");
    const OrderedJson* additional = other->find("additionalProperties");
    for (const OrderedJson& item : *required) {
      const auto& name = item.get_ref<const std::string&>();
      const bool declared = properties != nullptr && properties->contains(name);
      const bool closed = additional != nullptr && *additional == false &&
                          other->find("patternProperties") == nullptr;
      if (!declared && closed) return true;
      const OrderedJson* own = one->find("properties");
      if (!declared || own == nullptr || !own->contains(name) || !requires_name(*other, name)) {
        continue;
      }
      if (disjoint(one->below("properties").below(name), other->below("properties").below(name),
                   depth + 1)) {
        return true;
      }
    }
  }
  return false;
}

Grammar schema_grammar(const OrderedJson& schema) {
  Grammar grammar;
  const RuleId root = grammar.add_rule("root");
  JsonPieces pieces(grammar);
  grammar.define(root, SchemaCompiler(pieces, schema).compile());
  return grammar;
}

Grammar json_object_grammar() {
  Grammar grammar;
  const RuleId root = grammar.add_rule("root");
  grammar.define(root, JsonPieces(grammar).object());
  return grammar;
}

OrderedJson parse_schema(std::string_view text) {
  if (text.size() > kMostGrammarBytes) {
    throw UsageError(str("json schema: the text has ", text.size(), " bytes, at most ",
                         kMostGrammarBytes, " are allowed"));
  }
  try {
    parse_json(text, "json schema");
  } catch (const CorruptFile& error) {
    throw UsageError(error.what());
  }
  return OrderedJson::parse(text);
}

}  // namespace corral::engine
