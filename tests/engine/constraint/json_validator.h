#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "text/unicode.h"

namespace corral::engine::fixture {

using nlohmann::ordered_json;

/// Does PCRE find the pattern in the text? What grammars are made of is not used.
inline bool pcre_finds(const std::string& pattern, const std::string& text) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_code, void (*)(pcre2_code*)> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX, &error, &offset, nullptr),
      pcre2_code_free);
  if (code == nullptr) throw std::runtime_error("pcre does not take " + pattern);
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0,
                     data.get(), nullptr) >= 0;
}

/// JSON Schema as its specification reads, keyword by keyword, for the keywords that the tests'
/// schemas use: slow, and knows nothing of grammars.
class JsonValidator {
 public:
  explicit JsonValidator(const ordered_json& document) : document_(document) {}

  bool valid(const ordered_json& value) const { return valid(document_, value); }

  bool valid(const ordered_json& schema, const ordered_json& value) const {
    if (schema.is_boolean()) return schema.get<bool>();
    for (const auto& [keyword, argument] : schema.items()) {
      if (!holds(schema, keyword, argument, value)) return false;
    }
    return true;
  }

 private:
  static bool has_type(const std::string& type, const ordered_json& value) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_boolean();
    if (type == "integer") {
      return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
    }
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    if (type == "array") return value.is_array();
    return value.is_object();
  }

  static size_t length(const std::string& text) {
    size_t characters = 0;
    for (const char c : text) characters += (c & 0xC0) != 0x80 ? 1 : 0;
    return characters;
  }

  bool holds(const ordered_json& schema, const std::string& keyword, const ordered_json& argument,
             const ordered_json& value) const {
    if (keyword == "type") {
      if (argument.is_string()) return has_type(argument, value);
      for (const auto& type : argument) {
        if (has_type(type, value)) return true;
      }
      return false;
    }
    if (keyword == "enum")
      return std::find(argument.begin(), argument.end(), value) != argument.end();
    if (keyword == "const") return value == argument;
    if (keyword == "$ref") {
      const std::string pointer = argument.get<std::string>().substr(1);
      return valid(document_.at(ordered_json::json_pointer(pointer)), value);
    }
    if (keyword == "allOf" || keyword == "anyOf" || keyword == "oneOf") {
      size_t count = 0;
      for (const auto& part : argument) count += valid(part, value) ? 1 : 0;
      return keyword == "allOf"   ? count == argument.size()
             : keyword == "anyOf" ? count > 0
                                  : count == 1;
    }
    if (value.is_number()) return number_holds(keyword, argument, value.get<double>());
    if (value.is_string()) return string_holds(keyword, argument, value);
    if (value.is_array()) return array_holds(schema, keyword, argument, value);
    if (value.is_object()) return object_holds(schema, keyword, argument, value);
    return true;
  }

  static bool number_holds(const std::string& keyword, const ordered_json& argument, double value) {
    if (keyword == "minimum") return value >= argument.get<double>();
    if (keyword == "maximum") return value <= argument.get<double>();
    if (keyword == "exclusiveMinimum") return value > argument.get<double>();
    if (keyword == "exclusiveMaximum") return value < argument.get<double>();
    if (keyword == "multipleOf") {
      const double quotient = value / argument.get<double>();
      return std::fabs(quotient - std::round(quotient)) <=
             1e-9 * std::max(1.0, std::fabs(quotient));
    }
    return true;
  }

  static bool string_holds(const std::string& keyword, const ordered_json& argument,
                           const std::string& value) {
    if (keyword == "minLength") return length(value) >= argument.get<size_t>();
    if (keyword == "maxLength") return length(value) <= argument.get<size_t>();
    if (keyword == "pattern") return pcre_finds(argument, value);
    return true;
  }

  bool array_holds(const ordered_json& schema, const std::string& keyword,
                   const ordered_json& argument, const ordered_json& value) const {
    if (keyword == "minItems") return value.size() >= argument.get<size_t>();
    if (keyword == "maxItems") return value.size() <= argument.get<size_t>();
    const size_t first = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
    if (keyword == "prefixItems") {
      for (size_t i = 0; i < std::min(first, value.size()); ++i) {
        if (!valid(argument[i], value[i])) return false;
      }
    }
    if (keyword == "items") {
      for (size_t i = first; i < value.size(); ++i) {
        if (!valid(argument, value[i])) return false;
      }
    }
    return true;
  }

  bool object_holds(const ordered_json& schema, const std::string& keyword,
                    const ordered_json& argument, const ordered_json& value) const {
    if (keyword == "required") {
      for (const auto& name : argument) {
        if (!value.contains(name.get<std::string>())) return false;
      }
    }
    if (keyword == "minProperties") return value.size() >= argument.get<size_t>();
    if (keyword == "maxProperties") return value.size() <= argument.get<size_t>();
    for (const auto& [name, member] : value.items()) {
      bool known = schema.contains("properties") && schema["properties"].contains(name);
      if (keyword == "properties" && known && !valid(argument[name], member)) return false;
      if (schema.contains("patternProperties")) {
        for (const auto& [pattern, part] : schema["patternProperties"].items()) {
          if (!pcre_finds(pattern, name)) continue;
          known = true;
          if (keyword == "patternProperties" && !valid(part, member)) return false;
        }
      }
      if (keyword == "additionalProperties" && !known && !valid(argument, member)) return false;
    }
    return true;
  }

  const ordered_json& document_;
};

}  // namespace corral::engine::fixture
