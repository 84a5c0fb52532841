#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/python_json.h"

namespace corral::text {

/// Name and arguments of a call such as f(x=1, y="a").
struct PythonCall {
  std::string name;
  OrderedJson arguments;
};

/// Reads `[f(x=1), g()]`: a list of calls with named arguments whose values are literals (strings,
/// numbers, True, False, None, lists, tuples, dicts; also JSON's true, false, null, and objects
/// written {name=value}). nullopt for anything else, for an empty list, for nesting deeper than 64
/// and for more than 10,000 values.
std::optional<std::vector<PythonCall>> parse_python_calls(std::string_view text);

/// Reads one literal of the same kind; text may go on behind it. Returns the value and the number
/// of bytes that it takes.
std::optional<std::pair<OrderedJson, size_t>> parse_python_literal(std::string_view text);

}  // namespace corral::text
