#include "engine/constraint/regex.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/unicode.h"

namespace corral::engine {
namespace {

/// A part of the automaton with one way in and one way out.
struct Part {
  int begin;
  int end;
};

CharSet digits() { return CharSet::range('0', '9'); }
CharSet word_chars() {
  return digits() | CharSet::range('a', 'z') | CharSet::range('A', 'Z') | CharSet::one('_');
}
CharSet line_ends() {
  return CharSet::one('\n') | CharSet::one('\r') | CharSet::range(0x2028, 0x2029);
}
CharSet spaces() {
  return line_ends() | CharSet::range('\t', '\f') | CharSet::one(' ') | CharSet::one(0xA0) |
         CharSet::one(0x1680) | CharSet::range(0x2000, 0x200A) | CharSet::one(0x202F) |
         CharSet::one(0x205F) | CharSet::one(0x3000) | CharSet::one(0xFEFF);
}

/// What stands behind an atom.
struct Quantifier {
  int64_t min;
  int64_t max;  // -1: any number
};

/// Recursive descent over the pattern that builds the automaton as it reads. A quantified part is
/// built again for each of its copies, from its place in the pattern.
class RegexReader {
 public:
  explicit RegexReader(std::string_view pattern) : pattern_(pattern) {
    if (!text::is_valid_utf8(pattern)) throw UsageError("regex: the pattern is not valid UTF-8");
  }

  CharDfa read(RegexScope scope) {
    const int start = nfa_.add_state();
    const Part body = choice();
    if (!done()) fail("has a ) that closes nothing");
    nfa_.add_jump(start, body.begin);
    if (scope == RegexScope::kSearch) {
      const int before = nfa_.add_state();
      nfa_.add_jump(start, before);
      nfa_.add_step(before, CharSet::all(), before);
      nfa_.add_jump(before, body.begin);
      nfa_.add_step(body.end, CharSet::all(), body.end);
    }
    nfa_.accept(body.end);
    return CharDfa(nfa_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw UsageError(str("regex: the pattern ", why, " (at byte ", at_ + 1, ")"));
  }
  bool done() const { return at_ == pattern_.size(); }
  char peek() const { return done() ? '\0' : pattern_[at_]; }
  bool take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  Part choice() {
    if (++depth_ > kMostGroups) fail(str("nests groups deeper than ", kMostGroups));
    const Part all{nfa_.add_state(), nfa_.add_state()};
    do {
      const Part part = sequence();
      nfa_.add_jump(all.begin, part.begin);
      nfa_.add_jump(part.end, all.end);
    } while (take("|"));
    --depth_;
    return all;
  }

  Part sequence() {
    Part all{nfa_.add_state(), -1};
    all.end = all.begin;
    while (!done() && peek() != '|' && peek() != ')') {
      const Part part = repeated();
      nfa_.add_jump(all.end, part.begin);
      all.end = part.end;
    }
    return all;
  }

  Part repeated() {
    const size_t begin = at_;
    const size_t first_state = nfa_.states().size();
    Part part = atom();
    const bool is_assertion = std::exchange(was_assertion_, false);
    const auto quantifier = quantifier_behind();
    if (!quantifier) return part;
    if (is_assertion) fail("repeats something that reads nothing");
    const size_t end = at_;
    // Copies that read the same characters: the first is there already.
    const size_t states_each = nfa_.states().size() - first_state;
    const auto copies =
        static_cast<size_t>(std::max({quantifier->min, quantifier->max, int64_t{1}}));
    if (states_each > static_cast<size_t>(CharNfa::kMostStates) / copies) {
      fail(str("needs more than ", CharNfa::kMostStates,
               " states: bound its repetitions more tightly"));
    }
    Part all{nfa_.add_state(), nfa_.add_state()};
    int last = all.begin;
    for (size_t i = 0; i < copies; ++i) {
      if (i > 0) {
        at_ = begin;
        part = atom();
      }
      if (static_cast<int64_t>(i) >= quantifier->min) nfa_.add_jump(last, all.end);
      nfa_.add_jump(last, part.begin);
      last = part.end;
    }
    if (quantifier->max < 0) nfa_.add_jump(part.end, part.begin);
    nfa_.add_jump(last, all.end);
    at_ = end;
    // What may come at most 0 times was built to be read, and stays unreachable.
    return quantifier->max == 0 ? Part{all.end, all.end} : all;
  }

  std::optional<Quantifier> quantifier_behind() {
    std::optional<Quantifier> result;
    if (take("*")) {
      result = {0, -1};
    } else if (take("+")) {
      result = {1, -1};
    } else if (take("?")) {
      result = {0, 1};
    } else if (take("{")) {
      result = bounds();
    }
    if (!result) return result;
    take("?");
    if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
      fail("has a quantifier behind a quantifier");
    }
    return result;
  }

  Quantifier bounds() {
    const int64_t min = count();
    int64_t max = min;
    if (take(",")) max = peek() == '}' ? -1 : count();
    if (!take("}")) fail("has a { without a whole {n}, {n,} or {n,m}");
    if (max >= 0 && max < min) fail("has a {n,m} with n greater than m");
    return {min, max};
  }

  int64_t count() {
    if (peek() < '0' || peek() > '9') fail("has a { without a number behind it; write \\{");
    int64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (pattern_[at_++] - '0');
      if (value > kMostRepeats) fail(str("repeats more than ", kMostRepeats, " times"));
    }
    return value;
  }

  Part of_set(const CharSet& set) {
    const Part part{nfa_.add_state(), nfa_.add_state()};
    nfa_.add_step(part.begin, set, part.end);
    return part;
  }

  Part assertion(CharNfa::Assertion assertion) {
    const Part part{nfa_.add_state(), nfa_.add_state()};
    nfa_.add_jump(part.begin, part.end, assertion);
    was_assertion_ = true;
    return part;
  }

  Part atom() {
    if (take("^")) return assertion(CharNfa::Assertion::kAtBegin);
    if (take("$")) return assertion(CharNfa::Assertion::kAtEnd);
    if (take("(")) return group();
    if (take("[")) return of_set(char_class());
    if (take(".")) return of_set(~line_ends());
    if (take("\\")) return of_set(escape(false));
    const char c = peek();
    if (c == '*' || c == '+' || c == '?') fail("has a quantifier behind nothing");
    if (c == '{' || c == '}' || c == ']')
      fail(str("has a ", c, " that means nothing; write \\", c));
    return of_set(CharSet::one(literal()));
  }

  Part group() {
    if (take("?")) {
      if (take("<=") || take("<!") || take("=") || take("!")) {
        fail("looks around, which is not supported");
      }
      if (take("<")) {
        const size_t end = pattern_.find('>', at_);
        if (end == pattern_.npos || end == at_) fail("has a group without the > of its name");
        at_ = end + 1;
      } else if (!take(":")) {
        fail("has a (? that is not supported");
      }
    }
    const Part part = choice();
    if (!take(")")) fail("has a ( without its )");
    was_assertion_ = false;
    return part;
  }

  uint32_t literal() {
    const size_t bytes = text::utf8_char_bytes(pattern_, at_);
    const uint32_t code_point = text::utf8_code_point(pattern_, at_, bytes);
    at_ += bytes;
    return code_point;
  }

  CharSet char_class() {
    const bool negated = take("^");
    std::vector<CharSet::Range> ranges;
    const auto add = [&](const CharSet& set) {
      ranges.insert(ranges.end(), set.ranges().begin(), set.ranges().end());
    };
    while (!take("]")) {
      if (done()) fail("has a [ without its ]");
      const auto low = class_member();
      if (peek() == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']') {
        ++at_;
        if (done()) fail("has a [ without its ]");
        const auto high = class_member();
        if (!low.one || !high.one) fail("has a range that begins or ends with a set");
        if (*low.one > *high.one) fail("has a range that ends before it begins");
        add(CharSet::range(*low.one, *high.one));
      } else {
        add(low.set);
      }
    }
    const CharSet set = CharSet::of(std::move(ranges));
    return negated ? ~set : set;
  }

  struct Member {
    CharSet set;
    std::optional<uint32_t> one;
  };
  Member class_member() {
    CharSet set = take("\\") ? escape(true) : CharSet::one(literal());
    std::optional<uint32_t> one;
    if (set.ranges().size() == 1 && set.ranges()[0].low == set.ranges()[0].high) {
      one = set.ranges()[0].low;
    }
    return {std::move(set), one};
  }

  CharSet escape(bool in_class) {
    if (done()) fail("ends with a \\");
    const char c = pattern_[at_];
    if (static_cast<unsigned char>(c) >= 0x80) fail("escapes a character that has no escape");
    ++at_;
    constexpr std::string_view kPunctuation = "^$\\.*+?()[]{}|/-\"'#&,:;<=>@`~!% ";
    if (kPunctuation.find(c) != kPunctuation.npos) {
      return CharSet::one(static_cast<unsigned char>(c));
    }
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return ~digits();
      case 'w':
        return word_chars();
      case 'W':
        return ~word_chars();
      case 's':
        return spaces();
      case 'S':
        return ~spaces();
      case 't':
        return CharSet::one('\t');
      case 'n':
        return CharSet::one('\n');
      case 'r':
        return CharSet::one('\r');
      case 'f':
        return CharSet::one('\f');
      case 'v':
        return CharSet::one('\v');
      case 'c':
        return CharSet::one(control());
      case 'x':
        return CharSet::one(hex(2));
      case 'u':
        return CharSet::one(unicode());
      default:
        break;
    }
    if (c == '0' && (peek() < '0' || peek() > '9')) return CharSet::one(0);
    if (c == 'b' && in_class) return CharSet::one('\b');
    --at_;
    if (c == 'b' || c == 'B') fail("has a word boundary, which is not supported");
    if (c == 'p' || c == 'P') fail("has a Unicode property, which is not supported");
    if ((c >= '0' && c <= '9') || c == 'k') fail("refers back, which is not supported");
    fail(str("has the unknown escape \\", c));
  }

  uint32_t control() {
    const char c = peek();
    if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')) fail("has a \\c without a letter");
    ++at_;
    return static_cast<uint32_t>(c) % 32;
  }

  uint32_t hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = peek();
      const auto lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<uint32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + static_cast<uint32_t>(lower - 'a' + 10);
      } else {
        fail("has an escape with too few hexadecimal digits");
      }
      ++at_;
    }
    return value;
  }

  uint32_t unicode() {
    uint32_t value = 0;
    if (take("{")) {
      do {
        value = value * 16 + hex(1);
        if (value > 0x10FFFF) fail("has a \\u{} beyond the last code point");
      } while (!take("}"));
    } else {
      value = hex(4);
      if (value >= 0xD800 && value < 0xDC00 && take("\\u")) {
        const uint32_t low = hex(4);
        if (low < 0xDC00 || low > 0xDFFF) fail("has half a surrogate pair");
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
      }
    }
    if (value >= 0xD800 && value <= 0xDFFF) fail("has half a surrogate pair");
    return value;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  int depth_ = 0;
  bool was_assertion_ = false;
  CharNfa nfa_;
};

}  // namespace

CharDfa regex_texts(std::string_view pattern, RegexScope scope) {
  return RegexReader(pattern).read(scope);
}

}  // namespace corral::engine
