#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/constraint/char_automaton.h"

namespace corral::engine {

/// A number as it is written: sign, digits before and behind the point, without superfluous zeros.
struct Decimal {
  bool negative = false;
  std::string whole = "0";
  std::string fraction = {};

  /// The shortest digits that give the same double. Throws UsageError for what is not finite.
  static Decimal of(double value);
  static Decimal of(int64_t value);
  bool is_zero() const { return whole == "0" && fraction.empty(); }
};

struct NumberBound {
  Decimal value;
  bool included = true;
};

struct NumberRange {
  std::optional<NumberBound> low = {};
  std::optional<NumberBound> high = {};
  bool integer = false;
};

/// The numbers of a range as JSON texts without exponent. Integers have at most 18 digits, other
/// numbers 15 in all, so that reading them as doubles keeps their order and no number leaves the
/// range by rounding. Negative zero is left out.
CharDfa number_texts(const NumberRange& range);

/// JSON texts without exponent of all multiples of a positive number. Throws UsageError for numbers
/// that are more than 10,000 times a power of ten.
CharDfa multiple_texts(const Decimal& of);

}  // namespace corral::engine
