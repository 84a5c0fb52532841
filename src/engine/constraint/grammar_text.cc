#include "engine/constraint/grammar_text.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/constraint/regex.h"
#include "text/unicode.h"

namespace corral::engine {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void check_length(std::string_view text, const char* what) {
  if (text.size() <= kMostGrammarBytes) return;
  throw UsageError(
      str(what, " has ", text.size(), " bytes, at most ", kMostGrammarBytes, " are allowed"));
}

class GrammarReader {
 public:
  explicit GrammarReader(std::string_view text) : text_(text) {
    check_length(text, "grammar: the text");
    if (!text::is_valid_utf8(text)) throw UsageError("grammar: the text is not valid UTF-8");
  }

  Grammar read() {
    names_["root"] = grammar_.add_rule("root");
    for (skip(); !done(); skip()) rule();
    for (const auto& [name, rule] : names_) {
      if (grammar_.rules()[static_cast<size_t>(rule)].expr >= 0) continue;
      if (name == "root") throw UsageError("grammar: there is no rule named root");
      at_ = used_at_[name];
      fail("uses the rule " + name + ", which is defined nowhere");
    }
    return std::move(grammar_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t newline = before.rfind('\n');
    const size_t column = newline == before.npos ? at_ + 1 : at_ - newline;
    throw UsageError(str("grammar: line ", line, ", column ", column, " ", why));
  }
  bool done() const { return at_ == text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(std::string_view text) {
    if (!text_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  void skip() {
    while (!done()) {
      if (peek() == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::string_view(" \t\r\n").find(peek()) != std::string_view::npos) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string name() {
    const size_t begin = at_;
    if (!is_letter(peek())) fail("needs the name of a rule");
    while (is_letter(peek()) || is_digit(peek()) || peek() == '-') ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  RuleId rule_named(const std::string& name) {
    const auto [entry, is_new] = names_.try_emplace(name, -1);
    if (is_new) entry->second = grammar_.add_rule(name);
    return entry->second;
  }

  void rule() {
    const size_t begin = at_;
    const std::string defined = name();
    const RuleId rule = rule_named(defined);
    if (grammar_.rules()[static_cast<size_t>(rule)].expr >= 0) {
      at_ = begin;
      fail("defines the rule " + defined + " again");
    }
    skip();
    if (!take("::=")) fail("needs ::= behind the name of a rule");
    skip();
    grammar_.define(rule, choice());
    if (!done() && !at_rule()) fail("has something that does not belong here");
  }

  /// A name with ::= behind it.
  bool at_rule() {
    if (!is_letter(peek())) return false;
    const size_t begin = at_;
    name();
    skip();
    const bool found = text_.substr(at_).starts_with("::=");
    at_ = begin;
    return found;
  }

  ExprId choice() {
    if (++depth_ > kMostGroups) fail(str("nests groups deeper than ", kMostGroups));
    std::vector<ExprId> parts;
    do {
      skip();
      parts.push_back(sequence());
    } while (take("|"));
    --depth_;
    return grammar_.choice(std::move(parts));
  }

  ExprId sequence() {
    std::vector<ExprId> parts;
    while (!done() && peek() != '|' && peek() != ')' && !at_rule()) {
      ExprId part = atom();
      while (quantify(part)) {
      }
      parts.push_back(part);
      skip();
    }
    return grammar_.sequence(std::move(parts));
  }

  bool quantify(ExprId& part) {
    skip();
    if (take("*")) {
      part = grammar_.repeat(part, 0, -1);
    } else if (take("+")) {
      part = grammar_.repeat(part, 1, -1);
    } else if (take("?")) {
      part = grammar_.repeat(part, 0, 1);
    } else if (take("{")) {
      const int64_t min = count();
      skip();
      int64_t max = min;
      if (take(",")) {
        skip();
        max = peek() == '}' ? -1 : count();
        skip();
      }
      if (!take("}")) fail("needs the } of a repetition");
      if (max >= 0 && max < min) fail("repeats at least more often than at most");
      part = grammar_.repeat(part, min, max);
    } else {
      return false;
    }
    return true;
  }

  int64_t count() {
    skip();
    if (!is_digit(peek())) fail("needs a number");
    int64_t value = 0;
    while (is_digit(peek())) {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kMostRepeats) fail(str("repeats more than ", kMostRepeats, " times"));
    }
    return value;
  }

  ExprId atom() {
    const size_t begin = at_;
    if (take("(")) {
      const ExprId part = choice();
      skip();
      if (!take(")")) fail("needs the ) of a group");
      return part;
    }
    if (take("\"")) return literal();
    if (take("[")) return grammar_.chars(char_class());
    if (take(".")) return grammar_.chars(CharSet::all());
    if (take("/")) return regex(begin);
    if (!is_letter(peek())) fail("needs a text, a class, a group or the name of a rule");
    const std::string called = name();
    used_at_.try_emplace(called, begin);
    return grammar_.call(rule_named(called));
  }

  ExprId literal() {
    std::string bytes;
    while (!take("\"")) {
      if (done() || peek() == '\n') fail("needs the \" that ends a text");
      text::append_utf8(bytes, character());
    }
    return grammar_.bytes(bytes);
  }

  CharSet char_class() {
    const bool negated = take("^");
    std::vector<CharSet::Range> ranges;
    while (!take("]")) {
      if (done()) fail("needs the ] of a class");
      const uint32_t low = character();
      uint32_t high = low;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        high = character();
        if (high < low) fail("has a range that ends before it begins");
      }
      const CharSet set = CharSet::range(low, high);
      ranges.insert(ranges.end(), set.ranges().begin(), set.ranges().end());
    }
    const CharSet set = CharSet::of(std::move(ranges));
    return negated ? ~set : set;
  }

  ExprId regex(size_t begin) {
    std::string pattern;
    while (!take("/")) {
      if (done() || peek() == '\n') fail("needs the / that ends a regular expression");
      const bool escaped = peek() == '\\' && at_ + 1 < text_.size();
      if (escaped) pattern += text_[at_++];
      pattern += text_[at_++];
    }
    try {
      return grammar_.texts(regex_texts(pattern, RegexScope::kWhole), Spelling::kUtf8);
    } catch (const UsageError& error) {
      at_ = begin;
      fail(str("has a bad regular expression: ", error.what()));
    }
  }

  uint32_t character() {
    if (!take("\\")) {
      const size_t bytes = text::utf8_char_bytes(text_, at_);
      const uint32_t code_point = text::utf8_code_point(text_, at_, bytes);
      at_ += bytes;
      return code_point;
    }
    constexpr std::string_view kLetters = "nrtfv0";
    constexpr std::string_view kMeanings("\n\r\t\f\v\0", 6);
    const char c = peek();
    if (done()) fail("ends with a \\");
    ++at_;
    if (c == 'x') return hex(2);
    if (c == 'u') return hex(4);
    if (c == 'U') return hex(8);
    if (const size_t i = kLetters.find(c); i != kLetters.npos) {
      return static_cast<unsigned char>(kMeanings[i]);
    }
    if (is_letter(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80) {
      --at_;
      fail("has an unknown escape");
    }
    return static_cast<unsigned char>(c);
  }

  uint32_t hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const auto lower = static_cast<char>(c | 0x20);
      if (is_digit(c)) {
        value = value * 16 + static_cast<uint32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + static_cast<uint32_t>(lower - 'a' + 10);
      } else {
        fail("has an escape with too few hexadecimal digits");
      }
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      fail("has an escape that is no character");
    }
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  Grammar grammar_;
  std::map<std::string, RuleId> names_;
  std::map<std::string, size_t> used_at_;
};

}  // namespace

Grammar parse_grammar(std::string_view text) { return GrammarReader(text).read(); }

Grammar regex_grammar(std::string_view pattern) {
  check_length(pattern, "regex: the pattern");
  Grammar grammar;
  const RuleId root = grammar.add_rule("regex");
  grammar.define(root, grammar.texts(regex_texts(pattern, RegexScope::kWhole), Spelling::kUtf8));
  return grammar;
}

}  // namespace corral::engine
