#include "text/python_json.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace corral::text {
namespace {

constexpr int kMaxTextDepth = 64;
constexpr int kMaxMembers = 10'000;

/// Counts brackets and members outside of strings. The parser would build any depth, and writing it
/// back would use up the call stack; ordered objects cost the square of their members.
bool is_too_large(std::string_view text) {
  int depth = 0;
  int members = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      i = end_of_json_string(text, i);
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxTextDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ':') {
      if (++members > kMaxMembers) return true;
    }
  }
  return false;
}

std::string quoted(const std::string& text) {
  return OrderedJson(text).dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
}

}  // namespace

size_t end_of_json_string(std::string_view text, size_t begin) {
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '"') return i;
    if (text[i] == '\\') ++i;
  }
  return text.size();
}

std::optional<OrderedJson> try_parse_json(std::string_view text) {
  if (is_too_large(text)) return std::nullopt;
  OrderedJson value = OrderedJson::parse(text, nullptr, false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string scientific(buffer, end.ptr);
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  // Python leaves out the exponent between 1e-4 and 1e16.
  if (exponent < -4 || exponent >= 16) return scientific;
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string text(buffer, fixed.ptr);
  if (text.find('.') == text.npos) text += ".0";
  return text;
}

std::string python_json(const OrderedJson& value) {
  if (value.is_string()) return quoted(value.get_ref<const std::string&>());
  if (value.is_number_float()) return python_float(value.get<double>());
  if (!value.is_structured()) return value.dump();
  std::string text = value.is_array() ? "[" : "{";
  const char* separator = "";
  for (const auto& [key, member] : value.items()) {
    text += separator;
    if (value.is_object()) text += quoted(key) + ": ";
    text += python_json(member);
    separator = ", ";
  }
  return text + (value.is_array() ? "]" : "}");
}

}  // namespace corral::text
