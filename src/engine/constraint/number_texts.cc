#include "engine/constraint/number_texts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <string_view>
#include <tuple>

#include "base/error.h"

namespace corral::engine {
namespace {

constexpr int kIntegerDigits = 18;
constexpr int kAllDigits = 15;
constexpr int64_t kMostMultiple = 10'000;

CharSet digit(char low, char high) {
  return CharSet::range(static_cast<unsigned char>(low), static_cast<unsigned char>(high));
}

bool only_zeros(std::string_view digits) { return digits.find_first_not_of('0') == digits.npos; }

/// A bound for numbers without sign.
struct Magnitude {
  std::string whole;
  std::string fraction;
  bool included;
};

/// Adds to an automaton the numbers without sign between two magnitudes. While the digits so far
/// are those of a bound, the rest is compared with the bound's.
class MagnitudeWriter {
 public:
  MagnitudeWriter(CharNfa& nfa, const Magnitude& low, const std::optional<Magnitude>& high,
                  bool integer)
      : nfa_(nfa), low_(low), high_(high), integer_(integer) {}

  void add(int from) {
    const int most = integer_ ? kIntegerDigits : kAllDigits;
    for (int digits = 1; digits <= most; ++digits) {
      if (digits < static_cast<int>(low_.whole.size())) continue;
      if (high_ && digits > static_cast<int>(high_->whole.size())) break;
      digits_ = digits;
      known_.clear();
      const bool at_low = digits == static_cast<int>(low_.whole.size());
      const bool at_high = high_ && digits == static_cast<int>(high_->whole.size());
      nfa_.add_jump(from, place(0, at_low, at_high));
    }
  }

 private:
  /// Behind so many digits, all of them before the point or some behind it.
  int place(int read, bool at_low, bool at_high) {
    const auto [entry, is_new] = known_.try_emplace({read, at_low, at_high}, -1);
    if (!is_new) return entry->second;
    const int state = nfa_.add_state();
    entry->second = state;
    if (read >= digits_ && fits(read - digits_, at_low, at_high)) nfa_.accept(state);
    int from = state;
    if (read == digits_) {
      if (integer_ || digits_ == kAllDigits) return state;
      from = nfa_.add_state();
      nfa_.add_step(state, CharSet::one('.'), from);
    } else if (read > digits_ && read == kAllDigits) {
      return state;
    }
    const char first = read == 0 && digits_ > 1 ? '1' : '0';
    const char low = at_low ? std::max(first, digit_of(low_, read)) : first;
    const char high = at_high ? digit_of(*high_, read) : '9';
    for (char c = low; c <= high; ++c) {
      const bool still_low = at_low && c == digit_of(low_, read);
      const bool still_high = at_high && c == digit_of(*high_, read);
      nfa_.add_step(from, digit(c, c), place(read + 1, still_low, still_high));
    }
    return state;
  }

  char digit_of(const Magnitude& bound, int place) const {
    const auto i = static_cast<size_t>(place);
    if (i < bound.whole.size()) return bound.whole[i];
    const size_t behind = i - bound.whole.size();
    return behind < bound.fraction.size() ? bound.fraction[behind] : '0';
  }

  /// Is the number in range that ends behind so many digits of the fraction?
  bool fits(int fraction, bool at_low, bool at_high) const {
    const auto rest = [&](const Magnitude& bound) {
      return std::string_view(bound.fraction)
          .substr(std::min(static_cast<size_t>(fraction), bound.fraction.size()));
    };
    if (at_low && !(only_zeros(rest(low_)) && low_.included)) return false;
    return !at_high || !only_zeros(rest(*high_)) || high_->included;
  }

  CharNfa& nfa_;
  Magnitude low_;
  std::optional<Magnitude> high_;
  bool integer_;
  int digits_ = 0;  // before the point
  std::map<std::tuple<int, bool, bool>, int> known_;
};

Magnitude magnitude(const NumberBound& bound) {
  return {bound.value.whole, bound.value.fraction, bound.included};
}

int64_t remainder(std::string_view digits, int64_t divisor, int64_t value = 0) {
  for (const char c : digits) value = (value * 10 + (c - '0')) % divisor;
  return value;
}

}  // namespace

Decimal Decimal::of(double value) {
  if (!std::isfinite(value)) throw UsageError("a number of the schema is not finite");
  std::array<char, 2000> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::fabs(value),
                                 std::chars_format::fixed);
  const std::string_view text(buffer.data(), static_cast<size_t>(end.ptr - buffer.data()));
  const size_t point = text.find('.');
  Decimal decimal{.negative = value < 0, .whole = std::string(text.substr(0, point))};
  if (point != text.npos) decimal.fraction = text.substr(point + 1);
  return decimal;
}

Decimal Decimal::of(int64_t value) {
  std::string digits = std::to_string(value);
  if (value < 0) digits.erase(0, 1);
  return {.negative = value < 0, .whole = std::move(digits)};
}

CharDfa number_texts(const NumberRange& range) {
  CharNfa nfa;
  const int start = nfa.add_state();
  const bool low_is_negative = !range.low || range.low->value.negative;
  const bool high_is_negative = range.high && range.high->value.negative;
  const Magnitude zero{"0", "", true};
  if (!high_is_negative) {
    std::optional<Magnitude> high;
    if (range.high) high = magnitude(*range.high);
    MagnitudeWriter(nfa, low_is_negative ? zero : magnitude(*range.low), high, range.integer)
        .add(start);
  }
  if (low_is_negative) {
    const int behind_sign = nfa.add_state();
    nfa.add_step(start, CharSet::one('-'), behind_sign);
    std::optional<Magnitude> high;
    if (range.low) high = magnitude(*range.low);
    const Magnitude above_zero{"0", "", false};
    MagnitudeWriter(nfa, high_is_negative ? magnitude(*range.high) : above_zero, high,
                    range.integer)
        .add(behind_sign);
  }
  return CharDfa(nfa);
}

// The states are remainders of the digits so far, then of those with j behind the point.
CharDfa multiple_texts(const Decimal& of) {
  std::string digits = of.whole + of.fraction;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  // 1000 is a multiple itself, but 0.001 is the unit of a thousandth.
  const auto places = static_cast<int>(of.fraction.size());
  int64_t divisor = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), divisor);
  if (of.negative || digits.empty() || read.ec != std::errc() || divisor > kMostMultiple) {
    throw UsageError(
        str("multipleOf can be at most ", kMostMultiple, " times a power of ten, and more than 0"));
  }
  CharNfa nfa;
  const int start = nfa.add_state();
  const auto states = [&] {
    std::vector<int> list;
    for (int64_t r = 0; r < divisor; ++r) list.push_back(nfa.add_state());
    return list;
  };
  std::vector<int> here = states();
  nfa.add_jump(start, here[0]);
  nfa.add_step(start, CharSet::one('-'), here[0]);
  const auto steps = [&](const std::vector<int>& from, const std::vector<int>& to) {
    for (int64_t r = 0; r < divisor; ++r) {
      for (char c = '0'; c <= '9'; ++c) {
        nfa.add_step(from[static_cast<size_t>(r)], digit(c, c),
                     to[static_cast<size_t>(remainder({&c, 1}, divisor, r))]);
      }
    }
  };
  const auto accept = [&](const std::vector<int>& list, int fraction) {
    for (int64_t r = 0; r < divisor; ++r) {
      const std::string padding(static_cast<size_t>(places - fraction), '0');
      if (remainder(padding, divisor, r) == 0) nfa.accept(list[static_cast<size_t>(r)]);
    }
  };
  steps(here, here);
  accept(here, 0);
  for (int fraction = 0; fraction < std::max(places, 1); ++fraction) {
    const std::vector<int> from = fraction == 0 ? states() : here;
    if (fraction == 0) {
      for (int64_t r = 0; r < divisor; ++r) {
        nfa.add_step(here[static_cast<size_t>(r)], CharSet::one('.'), from[static_cast<size_t>(r)]);
      }
    }
    if (fraction < places) {
      const std::vector<int> to = states();
      steps(from, to);
      accept(to, fraction + 1);
      here = to;
    } else {
      here = from;
    }
  }
  // Behind the places only zeros change nothing.
  const int zeros = nfa.add_state();
  nfa.add_step(here[0], CharSet::one('0'), zeros);
  nfa.add_step(zeros, CharSet::one('0'), zeros);
  nfa.accept(zeros);
  return CharDfa(nfa);
}

}  // namespace corral::engine
