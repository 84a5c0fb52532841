#include "serve/api_json.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "serve/api_error.h"

namespace corral::serve {
namespace {

// An ordered object looks its keys up one by one: many would cost the square of their number.
void check_width(const Json& value) {
  if (value.is_object() && value.size() > kMaxMembers) {
    throw ApiError(400, str("a JSON object has ", value.size(), " members, at most ", kMaxMembers,
                            " are allowed"));
  }
  if (!value.is_structured()) return;
  for (const Json& part : value) check_width(part);
}

}  // namespace

OrderedJson parse_body(std::string_view body) {
  try {
    const Json checked = parse_json(body, "request", kMaxBodyDepth);
    if (!checked.is_object()) throw ApiError(400, "request: the body is no JSON object");
    check_width(checked);
  } catch (const CorruptFile& error) {
    throw ApiError(400, error.what());
  }
  return OrderedJson::parse(body);
}

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void Fields::fail(const char* name, const std::string& why) const {
  throw ApiError(400, str(prefix_, name, " ", why), prefix_ + name);
}

void Fields::only(std::span<const std::string_view> known) const {
  for (const auto& [name, value] : object_.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string shown = prefix_ + name.substr(0, 60);
    throw ApiError(400, str("Unknown parameter: '", shown, "'."), shown, "unknown_parameter");
  }
}

const OrderedJson* Fields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<double> Fields::number(const NumberField& field) const {
  const OrderedJson* value = find(field.name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) fail(field.name, "is no number");
  const auto number = value->get<double>();
  if (field.integer && std::floor(number) != number) fail(field.name, "is no whole number");
  if (!(number >= field.low && number <= field.high)) {
    fail(field.name, str("is ", number, ", needs ", field.low, " to ", field.high));
  }
  return number;
}

std::optional<int64_t> Fields::integer(const NumberField& field) const {
  if (!number(field)) return std::nullopt;
  // In range as a double, so the conversion is exact and defined up to 2^53, the largest high.
  const OrderedJson& value = *find(field.name);
  return value.is_number_float() ? static_cast<int64_t>(value.get<double>()) : value.get<int64_t>();
}

std::optional<bool> Fields::boolean(const char* name) const {
  const OrderedJson* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail(name, "is neither true nor false");
  return value->get<bool>();
}

std::optional<std::string> Fields::text(const char* name) const {
  const OrderedJson* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail(name, "is no text");
  return value->get<std::string>();
}

std::string Fields::need_text(const char* name) const {
  auto value = text(name);
  if (!value) fail(name, "is missing");
  return std::move(*value);
}

}  // namespace corral::serve
