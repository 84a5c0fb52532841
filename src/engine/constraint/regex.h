#pragma once

#include <cstdint>
#include <string_view>

#include "engine/constraint/char_automaton.h"

namespace corral::engine {

/// How deep groups of regular expressions and grammars may nest, and the largest count of their
/// `{n,m}`: what no honest text needs and a stack or a table can bear.
inline constexpr int kMostGroups = 100;
inline constexpr int64_t kMostRepeats = 100'000;

/// What a pattern has to match.
enum class RegexScope {
  kWhole,   // the whole text, as if the pattern stood between ^(?: and )$
  kSearch,  // some part of the text, as JSON Schema's `pattern` has it
};

/// The texts that a regular expression matches, in ECMAScript's syntax with the flag u: literals,
/// `.` (no line end), classes and ranges, \d \D \w \W \s \S, the escapes \t \n \r \f \v \0 \cX \xHH
/// \uHHHH (also as surrogate pairs) \u{H}, groups (capturing, named or not), `|`, the quantifiers
/// `* + ? {n} {n,} {n,m}` (a `?` behind them changes nothing about what matches), ^ and $.
///
/// Throws UsageError with the place for what no automaton can do or what this does not know (back
/// references, look-around, \b, \p, inline flags), for bad syntax, for groups nested deeper than
/// 100, and for patterns that need too many states.
CharDfa regex_texts(std::string_view pattern, RegexScope scope);

}  // namespace corral::engine
