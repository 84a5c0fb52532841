#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace corral {

using Json = nlohmann::json;

/// The depth to which Corral reads JSON from outside; every format we know needs fewer than ten.
inline constexpr int kMaxJsonDepth = 64;

/// Parses JSON that may be hostile. Throws CorruptFile with `what` (usually the path) in front and
/// the line and column behind: on bad syntax, bytes that are not UTF-8, numbers beyond the range of
/// double, text after the value, arrays and objects nested deeper than max_depth, and on a key that
/// occurs twice in one object (parsers disagree on which one counts).
Json parse_json(std::string_view text, const std::string& what, int max_depth = kMaxJsonDepth);

}  // namespace corral
