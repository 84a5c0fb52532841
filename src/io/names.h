#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corral::io {

/// True when the bytes are well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view text);

/// A name that comes from a file, fit for a one-line message: in single quotes, control characters
/// and bytes that are not UTF-8 as \xNN, cut after about a hundred bytes.
std::string show_name(std::string_view name);

/// The candidate with the smallest edit distance to `wanted`; empty when that is more than half of
/// the longer one. Looks at no more than some ten thousand candidates of usual length, so that a
/// hostile file cannot make an error message expensive.
std::string_view nearest_name(std::string_view wanted,
                              const std::vector<std::string_view>& candidates);

}  // namespace corral::io
