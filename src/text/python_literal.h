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

/// The calls at the beginning of such a list whose closing bracket the text ends without, as in
/// `[f(x=1), g()`. nullopt when a call is incomplete or something else is missing.
std::optional<std::vector<PythonCall>> parse_unclosed_python_calls(std::string_view text);

/// Reads one literal of the same kind; text may go on behind it. Returns the value and the number
/// of bytes that it takes.
std::optional<std::pair<OrderedJson, size_t>> parse_python_literal(std::string_view text);

/// How a text that is still being written compares with a form.
enum class Viability {
  kWrong,     // whatever follows, it will not have the form
  kRunsOut,   // it has the form as far as it goes
  kComplete,  // it has the form, from the first to the last byte
};

/// Compares with the form of parse_python_calls. Lenient about values: never kWrong for what that
/// function reads.
Viability viability_of_calls(std::string_view text);

/// Reads one JSON object or Python dict at the beginning of a text that is still being written:
/// kComplete when there is one, whatever follows it. Then `object` is its value, and `text` goes on
/// behind it. Lenient: never kWrong for an object that try_parse_json or parse_python_literal
/// reads.
Viability take_viable_object(std::string_view& text, OrderedJson& object);

}  // namespace corral::text
