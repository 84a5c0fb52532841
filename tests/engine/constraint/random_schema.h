#pragma once

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace corral::engine::fixture {

using nlohmann::ordered_json;

/// Random schemas of the keywords that grammars support, and documents made for them without any
/// grammar. A pure function of the seed.
class RandomSchema {
 public:
  explicit RandomSchema(uint32_t seed) : random_(seed) {}

  /// A document of definitions that may refer to each other and themselves, and a schema.
  ordered_json document() {
    ordered_json schema = any(3);
    if (schema.is_boolean()) schema = ordered_json::object();
    for (const char* name : {"a", "b"}) {
      // Behind a member, so that no definition is its own alternative.
      schema["$defs"][name] = {{"type", "object"},
                               {"properties", {{"next", any(2)}, {"n", any(0)}}},
                               {"required", {"n"}}};
    }
    return schema;
  }

  /// A document that should follow the schema; by chance, or by clashing keywords, it may not.
  ordered_json sample(const ordered_json& root, const ordered_json& schema, int depth = 0) {
    if (schema.contains("$ref")) {
      const std::string pointer = schema["$ref"].get<std::string>().substr(1);
      return sample(root, root.at(ordered_json::json_pointer(pointer)), depth + 1);
    }
    if (schema.contains("const")) return schema["const"];
    if (schema.contains("enum")) return pick(schema["enum"]);
    if (schema.contains("anyOf")) return sample(root, pick(schema["anyOf"]), depth);
    if (schema.contains("allOf")) return sample(root, schema["allOf"][0], depth);
    const std::string type = schema.value("type", "null");
    if (type == "boolean") return coin();
    if (type == "integer") return number(schema, 1);
    if (type == "number") return static_cast<double>(number(schema, 4)) / 4;
    if (type == "string") return text(schema);
    if (type == "array") return array(root, schema, depth);
    if (type == "object") return object(root, schema, depth);
    return nullptr;
  }

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }
  bool coin() { return below(2) == 0; }

 private:
  ordered_json pick(const ordered_json& list) {
    return list[below(static_cast<uint32_t>(list.size()))];
  }

  ordered_json any(int depth) {
    const uint32_t kinds = depth > 0 ? 11 : 6;
    switch (below(kinds)) {
      case 0:
        return {{"type", "boolean"}};
      case 1:
        return {{"enum", {1, "two", nullptr, {{"three", 3}}, "d\"\\\n\u00e9"}}};
      case 2:
        return bounds({{"type", "integer"}}, 1);
      case 3:
        return bounds({{"type", "number"}}, 4);
      case 4:
      case 5:
        return string();
      case 6: {
        ordered_json array = {{"type", "array"}, {"items", any(depth - 1)}};
        const int least = static_cast<int>(below(3));
        if (coin()) array["minItems"] = least;
        if (coin()) array["maxItems"] = least + static_cast<int>(below(3));
        if (coin()) array["prefixItems"] = {any(depth - 1), any(depth - 1)};
        return array;
      }
      case 7:
        return {{"anyOf", {any(depth - 1), any(depth - 1)}}};
      case 8:
        return {{"allOf", {any(depth - 1), ordered_json::object()}}};
      case 9:
        return {{"$ref", coin() ? "#/$defs/a" : "#/$defs/b"}};
      default:
        return object(depth);
    }
  }

  ordered_json bounds(ordered_json schema, int parts) {
    const int low = static_cast<int>(below(300)) - 150;
    const int high = low + 1 + static_cast<int>(below(2000));
    const auto bound = [&](int value) -> ordered_json {
      if (parts == 1) return value;
      return static_cast<double>(value) / parts;
    };
    if (coin()) schema[coin() ? "minimum" : "exclusiveMinimum"] = bound(low);
    if (coin()) schema[coin() ? "maximum" : "exclusiveMaximum"] = bound(high);
    return schema;
  }

  ordered_json string() {
    ordered_json schema = {{"type", "string"}};
    switch (below(4)) {
      case 0:
        schema["pattern"] = pick({"^a+$", "^[0-9]{2,3}-[a-z]", "x|y", "^(ab|cd)*$"});
        break;
      case 1:
        schema["minLength"] = below(3);
        schema["maxLength"] = 2 + below(4);
        break;
      default:
        break;
    }
    return schema;
  }

  ordered_json object(int depth) {
    ordered_json schema = {{"type", "object"}, {"properties", ordered_json::object()}};
    for (const char* name : {"id", "name \"x\"", "\u00e9", "z"}) {
      if (!coin()) continue;
      schema["properties"][name] = any(depth - 1);
      if (coin()) schema["required"].push_back(name);
    }
    switch (below(3)) {
      case 0:
        schema["additionalProperties"] = false;
        break;
      case 1:
        schema["additionalProperties"] = any(depth - 1);
        break;
      default:
        break;
    }
    return schema;
  }

  int64_t number(const ordered_json& schema, int parts) {
    const auto of = [&](const char* name) {
      return static_cast<int64_t>(schema[name].get<double>() * parts);
    };
    int64_t low = -1000;
    int64_t high = 3000;
    if (schema.contains("minimum")) low = of("minimum");
    if (schema.contains("exclusiveMinimum")) low = of("exclusiveMinimum") + 1;
    if (schema.contains("maximum")) high = of("maximum");
    if (schema.contains("exclusiveMaximum")) high = of("exclusiveMaximum") - 1;
    return low +
           static_cast<int64_t>(below(static_cast<uint32_t>(std::max<int64_t>(1, high - low))));
  }

  std::string text(const ordered_json& schema) {
    if (schema.contains("pattern")) {
      return pick({"aaa", "12-b", "with x", "abcdab", ""}).get<std::string>();
    }
    std::string text;
    const uint32_t letters = schema.value("minLength", 0u) + below(3);
    for (uint32_t i = 0; i < letters; ++i) {
      text += pick({"a", "Z", "\u00e9", "\"", "\n", "\U0001F600"}).get<std::string>();
    }
    return text;
  }

  ordered_json array(const ordered_json& root, const ordered_json& schema, int depth) {
    ordered_json result = ordered_json::array();
    const size_t count = schema.value("minItems", size_t{0}) + (depth < 3 ? below(2) : 0);
    for (size_t i = 0; i < count; ++i) {
      const bool front = schema.contains("prefixItems") && i < schema["prefixItems"].size();
      result.push_back(sample(root, front ? schema["prefixItems"][i] : schema["items"], depth + 1));
    }
    return result;
  }

  ordered_json object(const ordered_json& root, const ordered_json& schema, int depth) {
    ordered_json result = ordered_json::object();
    const ordered_json required = schema.value("required", ordered_json::array());
    for (const auto& [name, member] : schema["properties"].items()) {
      const bool needed = std::find(required.begin(), required.end(), name) != required.end();
      if (needed || (depth < 3 && coin())) result[name] = sample(root, member, depth + 1);
    }
    const bool more = schema.contains("additionalProperties") &&
                      schema["additionalProperties"].is_object() && depth < 3 && coin();
    if (more) result["more"] = sample(root, schema["additionalProperties"], depth + 1);
    return result;
  }

  std::mt19937 random_;
};

}  // namespace corral::engine::fixture
