#pragma once

#include <string_view>

#include "engine/constraint/grammar.h"

namespace corral::engine {

/// The longest grammar, regular expression or schema that is read.
inline constexpr size_t kMostGrammarBytes = size_t{1} << 20;

/// Reads a grammar as people write it (docs/guides/structured-output.md):
///
///     root   ::= "[" (number ("," number)*)? "]"   # answers follow the rule `root`
///     number ::= "-"? [0-9]+ ("." [0-9]{1,3})?
///
/// Throws UsageError naming line and column for bad syntax, rules without definition or with two,
/// and groups nested deeper than 100.
Grammar parse_grammar(std::string_view text);

/// The grammar of the texts that a pattern matches as a whole (regex.h).
Grammar regex_grammar(std::string_view pattern);

}  // namespace corral::engine
