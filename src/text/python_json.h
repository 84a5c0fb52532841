#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace corral::text {

using OrderedJson = nlohmann::ordered_json;

/// JSON that may be hostile and is allowed to be wrong (a model wrote it): nullopt when it is not
/// JSON, nested deeper than 64, of more than 10,000 members, or followed by something else than
/// white space.
std::optional<OrderedJson> try_parse_json(std::string_view text);

/// Where the JSON string that begins with the quote at `begin` ends: the place of its last quote,
/// or the end of the text when there is none.
size_t end_of_json_string(std::string_view text, size_t begin);

/// As Python's json.dumps writes it: ", " and ": " between parts, non-ASCII as \uXXXX.
std::string python_json(const OrderedJson& value);

/// As Python's repr writes a float: the shortest digits that give the same number back.
std::string python_float(double value);

}  // namespace corral::text
