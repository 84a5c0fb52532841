#pragma once

#include <cstdint>
#include <vector>

#include "engine/constraint/char_set.h"
#include "engine/constraint/grammar.h"

namespace corral::engine {

/// Bytes from low to high, both included.
struct ByteRange {
  uint8_t low;
  uint8_t high;
  auto operator<=>(const ByteRange&) const = default;
};

/// The spellings of a set of characters: each is a sequence of byte ranges, and all combinations of
/// their bytes are meant. No spelling of one sequence is the beginning of that of another.
///
/// kJson spells a character as itself wherever JSON lets it; else with the short escape it has, or
/// with \u and four lower-case digits.
std::vector<std::vector<ByteRange>> spellings(const CharSet& set, Spelling spelling);

}  // namespace corral::engine
