// What a list of schemas without references and choices says about numbers, strings and arrays.
#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/error.h"
#include "engine/constraint/json_formats.h"
#include "engine/constraint/json_schema.h"
#include "engine/constraint/number_texts.h"
#include "engine/constraint/regex.h"

namespace corral::engine {
namespace {

Decimal decimal_of(const OrderedJson& value) {
  if (value.is_number_integer() && !value.is_number_unsigned()) {
    return Decimal::of(value.get<int64_t>());
  }
  if (value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX) {
    return Decimal::of(static_cast<int64_t>(value.get<uint64_t>()));
  }
  return Decimal::of(value.get<double>());
}

/// The tighter of two bounds: the greater low one, the smaller high one.
void tighten(std::optional<NumberBound>& bound, const OrderedJson& value, bool included,
             bool is_low, double& tightest) {
  const auto number = value.get<double>();
  const bool tighter = is_low ? number > tightest : number < tightest;
  if (bound && !tighter && !(number == tightest && !included)) return;
  bound = NumberBound{decimal_of(value), included};
  tightest = number;
}

NumberRange range_of(const SchemaNodes& nodes, bool integer) {
  NumberRange range{.integer = integer};
  double low = 0;
  double high = 0;
  for (const SchemaNode& node : nodes) {
    if (const auto* value = node.find("minimum")) tighten(range.low, *value, true, true, low);
    if (const auto* value = node.find("exclusiveMinimum")) {
      tighten(range.low, *value, false, true, low);
    }
    if (const auto* value = node.find("maximum")) tighten(range.high, *value, true, false, high);
    if (const auto* value = node.find("exclusiveMaximum")) {
      tighten(range.high, *value, false, false, high);
    }
  }
  return range;
}

bool has_any(const SchemaNodes& nodes, std::initializer_list<const char*> keywords) {
  return std::any_of(nodes.begin(), nodes.end(), [&](const SchemaNode& node) {
    return std::any_of(keywords.begin(), keywords.end(),
                       [&](const char* keyword) { return node.find(keyword) != nullptr; });
  });
}

std::pair<int64_t, int64_t> counts_of(const SchemaNodes& nodes, const char* least,
                                      const char* most) {
  int64_t min = 0;
  int64_t max = -1;
  for (const SchemaNode& node : nodes) {
    min = std::max(min, count_of(node, least, 0));
    const int64_t here = count_of(node, most, -1);
    if (here >= 0) max = max < 0 ? here : std::min(max, here);
  }
  return {min, max};
}

/// The same text for equal values: 1 and 1.0 are equal, as are objects in any order.
std::string equality_key(const OrderedJson& value) {
  if (value.is_number()) return nlohmann::json(value.get<double>()).dump();
  if (!value.is_structured()) return json_text(value);
  nlohmann::json sorted = nlohmann::json::parse(json_text(value));
  const auto widen = [](auto&& self, nlohmann::json& part) -> void {
    if (part.is_number()) part = part.get<double>();
    if (part.is_structured()) {
      for (nlohmann::json& inner : part) self(self, inner);
    }
  };
  widen(widen, sorted);
  return sorted.dump();
}

}  // namespace

ExprId SchemaCompiler::flat(const SchemaNodes& nodes) {
  TypeSet types;
  uint32_t implied = 0;
  bool named = false;
  for (const SchemaNode& node : nodes) {
    const TypeSet here = named_types(node);
    types.bits &= here.bits;
    types.integer = types.integer || here.integer;
    named = named || node.find("type") != nullptr;
    implied |= implied_types(node);
  }
  if (const auto values = listed(nodes, types)) return *values;
  // A schema that only speaks of members means an object, though by the letter it allows all else.
  if (!named && implied != 0) types.bits &= implied;
  Grammar& g = pieces_.grammar();
  std::vector<ExprId> parts;
  if ((types.bits & json_type::kObject) != 0) parts.push_back(object(nodes));
  if ((types.bits & json_type::kArray) != 0) parts.push_back(array(nodes));
  if ((types.bits & json_type::kString) != 0) parts.push_back(string(nodes));
  if ((types.bits & json_type::kNumber) != 0) parts.push_back(number(nodes, types.integer));
  if ((types.bits & json_type::kBoolean) != 0) {
    parts.push_back(g.choice({g.bytes("true"), g.bytes("false")}));
  }
  if ((types.bits & json_type::kNull) != 0) parts.push_back(g.bytes("null"));
  return g.choice(std::move(parts));
}

/// Which of the values that a schema lists are valid for the keywords beside the list.
class ListedValues {
 public:
  ListedValues(SchemaCompiler& compiler, const SchemaNodes& nodes, const TypeSet& types)
      : compiler_(compiler), nodes_(nodes), types_(types) {}

  bool admit(const OrderedJson& value) {
    const uint32_t type = type_of(value);
    if ((types_.bits & type) == 0) return false;
    if (type == json_type::kNumber) return admits_number(value);
    if (type == json_type::kString) {
      if (!strings_) strings_ = compiler_.string_set(nodes_);
      return !*strings_ || (*strings_)->contains(value.get_ref<const std::string&>());
    }
    if (type == json_type::kNull || type == json_type::kBoolean) return true;
    for (const SchemaNode& node : nodes_) {
      if ((implied_types(node) & type) == 0) continue;
      node.fail("enum or const of arrays or objects beside keywords about them is not supported");
    }
    return true;
  }

 private:
  bool admits_number(const OrderedJson& value) {
    const auto number = value.get<double>();
    if (types_.integer && std::floor(number) != number) return false;
    for (const SchemaNode& node : nodes_) {
      const auto* low = node.find("minimum");
      const auto* above = node.find("exclusiveMinimum");
      const auto* high = node.find("maximum");
      const auto* below = node.find("exclusiveMaximum");
      if (low != nullptr && number < low->get<double>()) return false;
      if (above != nullptr && number <= above->get<double>()) return false;
      if (high != nullptr && number > high->get<double>()) return false;
      if (below != nullptr && number >= below->get<double>()) return false;
      const auto* multiple = node.find("multipleOf");
      if (multiple == nullptr) continue;
      const Decimal digits = decimal_of(value);
      const std::string text =
          digits.fraction.empty() ? digits.whole : digits.whole + "." + digits.fraction;
      if (!multiple_texts(decimal_of(*multiple)).contains(text)) return false;
    }
    return true;
  }

  SchemaCompiler& compiler_;
  const SchemaNodes& nodes_;
  TypeSet types_;
  std::optional<std::optional<CharDfa>> strings_;
};

// The values that enum and const leave, if there are any such keywords.
std::optional<ExprId> SchemaCompiler::listed(const SchemaNodes& nodes, const TypeSet& types) {
  OrderedJson storage;
  const OrderedJson* values = nullptr;
  std::vector<std::set<std::string>> others;  // the lists of the other nodes
  for (const SchemaNode& node : nodes) {
    OrderedJson here;
    const OrderedJson* list = listed_values(node, here);
    if (list == nullptr) continue;
    if (values == nullptr) {
      values = listed_values(node, storage);
      continue;
    }
    others.emplace_back();
    for (const OrderedJson& value : *list) others.back().insert(equality_key(value));
  }
  if (values == nullptr) return std::nullopt;
  std::vector<ExprId> parts;
  std::set<std::string> done;
  ListedValues admission(*this, nodes, types);
  for (const OrderedJson& value : *values) {
    const std::string key = equality_key(value);
    const bool in_all = std::all_of(others.begin(), others.end(),
                                    [&](const auto& other) { return other.contains(key); });
    if (!in_all || !done.insert(key).second || !admission.admit(value)) continue;
    parts.push_back(pieces_.constant(value));
  }
  return pieces_.grammar().choice(std::move(parts));
}

// nullopt: any number.
std::optional<CharDfa> SchemaCompiler::number_set(const SchemaNodes& nodes, bool integer) {
  const NumberRange range = range_of(nodes, integer);
  const bool has_multiple = has_any(nodes, {"multipleOf"});
  if (!integer && !range.low && !range.high && !has_multiple) return std::nullopt;
  CharDfa texts = number_texts(range);
  for (const SchemaNode& node : nodes) {
    const OrderedJson* multiple = node.find("multipleOf");
    if (multiple == nullptr) continue;
    try {
      texts = texts & multiple_texts(decimal_of(*multiple));
    } catch (const UsageError& error) {
      node.fail(error.what());
    }
  }
  return texts;
}

ExprId SchemaCompiler::number(const SchemaNodes& nodes, bool integer) {
  const auto texts = number_set(nodes, integer);
  return texts ? pieces_.grammar().texts(*texts, Spelling::kUtf8) : pieces_.number();
}

const CharDfa& SchemaCompiler::pattern(const SchemaNode& node, const std::string& text) {
  const auto known = patterns_.find(text);
  if (known != patterns_.end()) return known->second;
  try {
    return patterns_.emplace(text, regex_texts(text, RegexScope::kSearch)).first->second;
  } catch (const UsageError& error) {
    node.fail(error.what());
  }
}

// The texts that patterns, formats and lengths leave; nullopt: all.
std::optional<CharDfa> SchemaCompiler::string_set(const SchemaNodes& nodes) {
  std::optional<CharDfa> texts;
  const auto keep = [&](const SchemaNode& node, const CharDfa& more) {
    try {
      texts = texts ? *texts & more : more;
    } catch (const UsageError& error) {
      node.fail(error.what());
    }
  };
  for (const SchemaNode& node : nodes) {
    if (const auto* text = node.find("pattern")) {
      keep(node, pattern(node, text->get<std::string>()));
    }
    if (const auto* format = node.find("format")) {
      const auto& name = format->get_ref<const std::string&>();
      const auto known = format_texts(name);
      if (!known) {
        node.fail(str("the format '", name.substr(0, 100),
                      "' is not supported; these are: ", known_formats()));
      }
      keep(node, *known);
    }
  }
  const auto [min, max] = counts_of(nodes, "minLength", "maxLength");
  if (min == 0 && max < 0) return texts;
  if (max >= 0 && max < min) return CharDfa::texts({});
  if (std::max(min, max) >= static_cast<int64_t>(CharDfa::kMostStates)) {
    nodes.front().fail(
        str("minLength and maxLength beside a pattern or a list of values can be at "
            "most ",
            CharDfa::kMostStates - 1));
  }
  keep(nodes.front(), CharDfa::repeat(CharSet::all(), min, max));
  return texts;
}

ExprId SchemaCompiler::string(const SchemaNodes& nodes) {
  if (has_any(nodes, {"pattern", "format"})) return pieces_.string_of(*string_set(nodes));
  const auto [min, max] = counts_of(nodes, "minLength", "maxLength");
  try {
    return pieces_.string(min, max);
  } catch (const UsageError& error) {
    nodes.front().fail(error.what());
  }
}

ExprId SchemaCompiler::array(const SchemaNodes& nodes) {
  const auto [min, max] = counts_of(nodes, "minItems", "maxItems");
  size_t known = 0;
  for (const SchemaNode& node : nodes) {
    if (const auto* prefix = node.find("prefixItems")) known = std::max(known, prefix->size());
  }
  // Item i of each node, or what holds for those behind its prefix. Nothing: there can be none.
  const auto item = [&](size_t i) -> std::optional<SchemaNodes> {
    SchemaNodes all;
    for (const SchemaNode& node : nodes) {
      const auto* prefix = node.find("prefixItems");
      if (prefix != nullptr && i < prefix->size()) {
        all.push_back(node.below("prefixItems").below(i));
      } else if (node.find("items") != nullptr) {
        all.push_back(node.below("items"));
      }
      if (!all.empty() && *all.back().json == false) return std::nullopt;
    }
    return all;
  };
  std::vector<ExprId> first;
  for (size_t i = 0; i < known; ++i) {
    const auto schemas = item(i);
    if (!schemas) return pieces_.array(first, -1, min, max);
    first.push_back(call(*schemas));
  }
  const auto rest = item(known);
  try {
    return pieces_.array(first, rest ? call(*rest) : -1, min, max);
  } catch (const UsageError& error) {
    nodes.front().fail(error.what());
  }
}

}  // namespace corral::engine
