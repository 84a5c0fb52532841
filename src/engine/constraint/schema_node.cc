#include "engine/constraint/schema_node.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/encoding.h"
#include "base/error.h"

namespace corral::engine {
namespace {

enum class Form : uint8_t {
  kIgnored,  // says nothing about the value
  kSchema,
  kSchemas,       // a list of schemas, at least one
  kNamedSchemas,  // an object of them
  kNumber,
  kCount,
  kText,
  kTexts,
  kBoolean,
  kList,
  kAny,
};

struct Keyword {
  std::string_view name;
  Form form;
  uint32_t about = 0;  // types
};

constexpr std::array kKeywords = {
    Keyword{"$schema", Form::kIgnored},
    Keyword{"$id", Form::kIgnored},
    Keyword{"$comment", Form::kIgnored},
    Keyword{"$anchor", Form::kIgnored},
    Keyword{"title", Form::kIgnored},
    Keyword{"description", Form::kIgnored},
    Keyword{"default", Form::kIgnored},
    Keyword{"example", Form::kIgnored},
    Keyword{"examples", Form::kIgnored},
    Keyword{"deprecated", Form::kIgnored},
    Keyword{"readOnly", Form::kIgnored},
    Keyword{"writeOnly", Form::kIgnored},
    Keyword{"contentEncoding", Form::kIgnored},
    Keyword{"contentMediaType", Form::kIgnored},
    Keyword{"strict", Form::kIgnored},  // OpenAI's, beside a schema
    Keyword{"$defs", Form::kNamedSchemas},
    Keyword{"definitions", Form::kNamedSchemas},
    Keyword{"$ref", Form::kText},
    Keyword{"allOf", Form::kSchemas},
    Keyword{"anyOf", Form::kSchemas},
    Keyword{"oneOf", Form::kSchemas},
    Keyword{"type", Form::kAny},
    Keyword{"nullable", Form::kBoolean},
    Keyword{"enum", Form::kList},
    Keyword{"const", Form::kAny},
    Keyword{"minimum", Form::kNumber, json_type::kNumber},
    Keyword{"maximum", Form::kNumber, json_type::kNumber},
    Keyword{"exclusiveMinimum", Form::kNumber, json_type::kNumber},
    Keyword{"exclusiveMaximum", Form::kNumber, json_type::kNumber},
    Keyword{"multipleOf", Form::kNumber, json_type::kNumber},
    Keyword{"minLength", Form::kCount, json_type::kString},
    Keyword{"maxLength", Form::kCount, json_type::kString},
    Keyword{"pattern", Form::kText, json_type::kString},
    Keyword{"format", Form::kText, json_type::kString},
    Keyword{"properties", Form::kNamedSchemas, json_type::kObject},
    Keyword{"patternProperties", Form::kNamedSchemas, json_type::kObject},
    Keyword{"additionalProperties", Form::kSchema, json_type::kObject},
    Keyword{"required", Form::kTexts, json_type::kObject},
    Keyword{"minProperties", Form::kCount, json_type::kObject},
    Keyword{"maxProperties", Form::kCount, json_type::kObject},
    Keyword{"prefixItems", Form::kSchemas, json_type::kArray},
    Keyword{"items", Form::kSchema, json_type::kArray},
    Keyword{"minItems", Form::kCount, json_type::kArray},
    Keyword{"maxItems", Form::kCount, json_type::kArray},
    Keyword{"uniqueItems", Form::kBoolean, json_type::kArray},
};

const Keyword* keyword(std::string_view name) {
  const auto found = std::find_if(kKeywords.begin(), kKeywords.end(),
                                  [&](const Keyword& known) { return known.name == name; });
  return found == kKeywords.end() ? nullptr : &*found;
}

bool is_schema(const OrderedJson& value) { return value.is_object() || value.is_boolean(); }

bool is_count(const OrderedJson& value) {
  return value.is_number() && value.get<double>() >= 0 && value.get<double>() < 1e15 &&
         std::floor(value.get<double>()) == value.get<double>();
}

bool all_texts(const OrderedJson& list) {
  return std::all_of(list.begin(), list.end(),
                     [](const OrderedJson& item) { return item.is_string(); });
}

bool has_form(const OrderedJson& value, Form form) {
  switch (form) {
    case Form::kIgnored:
    case Form::kAny:
      return true;
    case Form::kSchema:
      return is_schema(value);
    case Form::kSchemas:
      return value.is_array() && !value.empty() &&
             std::all_of(value.begin(), value.end(), is_schema);
    case Form::kNamedSchemas:
      return value.is_object() && std::all_of(value.begin(), value.end(), is_schema);
    case Form::kNumber:
      return value.is_number();
    case Form::kCount:
      return is_count(value);
    case Form::kText:
      return value.is_string();
    case Form::kTexts:
      return value.is_array() && all_texts(value);
    case Form::kBoolean:
      return value.is_boolean();
    case Form::kList:
      return value.is_array();
  }
  return false;
}

uint32_t type_named(std::string_view name) {
  if (name == "null") return json_type::kNull;
  if (name == "boolean") return json_type::kBoolean;
  if (name == "number" || name == "integer") return json_type::kNumber;
  if (name == "string") return json_type::kString;
  if (name == "array") return json_type::kArray;
  if (name == "object") return json_type::kObject;
  return 0;
}

void check_types(const SchemaNode& node) {
  const OrderedJson* type = node.find("type");
  if (type == nullptr) return;
  const auto is_type = [](const OrderedJson& name) {
    return name.is_string() && type_named(name.get_ref<const std::string&>()) != 0;
  };
  const bool good = is_type(*type) || (type->is_array() && !type->empty() &&
                                       std::all_of(type->begin(), type->end(), is_type));
  if (!good) node.fail("'type' names no JSON type");
}

std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

const OrderedJson* SchemaNode::find(const char* name) const {
  if (!json->is_object()) return nullptr;
  const auto found = json->find(name);
  return found == json->end() ? nullptr : &*found;
}

SchemaNode SchemaNode::below(const std::string& name) const {
  return {&json->at(name), path + "/" + escaped(name)};
}

SchemaNode SchemaNode::below(size_t index) const {
  return {&json->at(index), path + "/" + std::to_string(index)};
}

void SchemaNode::fail(const std::string& why) const {
  constexpr size_t kMostShown = 300;
  throw UsageError(
      str("json schema: at ", path.empty() ? "the root" : path.substr(0, kMostShown), ": ", why));
}

void check_keywords(const SchemaNode& node) {
  if (!is_schema(*node.json)) node.fail("this is neither an object nor true or false");
  if (node.json->is_boolean()) return;
  for (const auto& [name, value] : node.json->items()) {
    const std::string shown = name.substr(0, 100);
    const Keyword* known = keyword(name);
    if (known == nullptr) node.fail(str("the keyword '", shown, "' is not supported"));
    if (!has_form(value, known->form)) {
      node.fail(str("the value of '", shown, "' does not have the form that is supported"));
    }
  }
  check_types(node);
  if (const OrderedJson* unique = node.find("uniqueItems"); unique != nullptr && *unique == true) {
    node.fail("the keyword 'uniqueItems' is not supported");
  }
}

TypeSet named_types(const SchemaNode& node) {
  const OrderedJson* type = node.find("type");
  if (type == nullptr) return {};
  TypeSet set{.bits = 0, .integer = true};
  const auto add = [&](const OrderedJson& name) {
    set.bits |= type_named(name.get_ref<const std::string&>());
    if (name == "number") set.integer = false;
  };
  if (type->is_string()) {
    add(*type);
  } else {
    for (const OrderedJson& name : *type) add(name);
  }
  if (const OrderedJson* nullable = node.find("nullable");
      nullable != nullptr && *nullable == true) {
    set.bits |= json_type::kNull;
  }
  return set;
}

uint32_t implied_types(const SchemaNode& node) {
  uint32_t bits = 0;
  if (!node.json->is_object()) return bits;
  for (const auto& [name, value] : node.json->items()) {
    if (const Keyword* known = keyword(name)) bits |= known->about;
  }
  return bits;
}

uint32_t type_of(const OrderedJson& value) {
  if (value.is_null()) return json_type::kNull;
  if (value.is_boolean()) return json_type::kBoolean;
  if (value.is_number()) return json_type::kNumber;
  if (value.is_string()) return json_type::kString;
  return value.is_array() ? json_type::kArray : json_type::kObject;
}

int64_t count_of(const SchemaNode& node, const char* name, int64_t absent) {
  const OrderedJson* value = node.find(name);
  return value == nullptr ? absent : static_cast<int64_t>(value->get<double>());
}

const OrderedJson* listed_values(const SchemaNode& node, OrderedJson& storage) {
  const OrderedJson* only = node.find("const");
  const OrderedJson* list = node.find("enum");
  if (only == nullptr) return list;
  storage = OrderedJson::array();
  const bool listed =
      list == nullptr || std::find(list->begin(), list->end(), *only) != list->end();
  if (listed) storage.push_back(*only);
  return &storage;
}

SchemaNode resolve_reference(const SchemaNode& node, const OrderedJson& document) {
  const auto& reference = node.find("$ref")->get_ref<const std::string&>();
  const std::string shown = reference.substr(0, 100);
  if (!reference.starts_with("#") || (reference.size() > 1 && reference[1] != '/')) {
    node.fail(str("the $ref '", shown, "' does not begin with # or #/, and no other is supported"));
  }
  const std::string pointer = percent_decode(std::string_view(reference).substr(1));
  try {
    const nlohmann::json_pointer<std::string> place(pointer);
    if (document.contains(place)) return {&document.at(place), pointer};
  } catch (const nlohmann::json::exception&) {
    // A pointer with a bad escape or index: it leads nowhere.
  }
  node.fail(str("the $ref '", shown, "' leads nowhere"));
}

bool is_only_reference(const SchemaNode& node) {
  if (node.find("$ref") == nullptr) return false;
  for (const auto& [name, value] : node.json->items()) {
    const Keyword* known = keyword(name);
    if (known == nullptr) return false;
    if (known->form != Form::kIgnored && name != "$ref" && name != "$defs" &&
        name != "definitions") {
      return false;
    }
  }
  return true;
}

}  // namespace corral::engine
