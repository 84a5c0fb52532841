#include "text/splitter.h"

#include <algorithm>

#include "text/unicode.h"

namespace corral::text {

const std::string_view kLlama4Pattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

struct Char {
  CharClass kind;
  size_t size_bytes;
};

/// Reads characters with their class; what is not UTF-8 is a symbol of one byte.
class CharReader {
 public:
  CharReader(std::string_view text, const CharClasses& classes) : text_(text), classes_(classes) {}

  size_t size() const { return text_.size(); }
  unsigned char byte(size_t at) const { return static_cast<unsigned char>(text_[at]); }

  Char at(size_t i) const {
    const unsigned char first = byte(i);
    if (first < 0x80) return {classes_.ascii(first), 1};
    const size_t n = utf8_char_bytes(text_, i);
    if (n == 0) return {CharClass::kOther, 1};
    return {classes_.of(utf8_code_point(text_, i, n)), n};
  }

 private:
  std::string_view text_;
  const CharClasses& classes_;
};

bool counts_as_upper(CharClass c) {
  return c == CharClass::kUpper || c == CharClass::kLetter || c == CharClass::kMark;
}
bool counts_as_lower(CharClass c) {
  return c == CharClass::kLower || c == CharClass::kLetter || c == CharClass::kMark;
}
bool counts_as_both(CharClass c) { return c == CharClass::kLetter || c == CharClass::kMark; }
bool is_symbol(CharClass c) { return c == CharClass::kOther || c == CharClass::kMark; }
bool is_white(CharClass c) { return c == CharClass::kSpace || c == CharClass::kNewline; }

/// Where the two word forms of the pattern end when their letters start at `begin`; 0: no match.
struct WordEnds {
  size_t lower;  // [upper]*[lower]+
  size_t upper;  // [upper]+[lower]*, valid only where `lower` is 0
};

WordEnds match_word(const CharReader& text, size_t begin) {
  size_t end = begin;
  size_t last_both_end = 0;
  Char c{CharClass::kOther, 0};
  while (end < text.size()) {
    c = text.at(end);
    if (!counts_as_upper(c.kind)) break;
    end += c.size_bytes;
    if (counts_as_both(c.kind)) last_both_end = end;
  }
  if (end < text.size() && c.kind == CharClass::kLower) {
    do {
      end += c.size_bytes;
      if (end == text.size()) break;
      c = text.at(end);
    } while (counts_as_lower(c.kind));
    return {end, 0};
  }
  // The upper-case run gives back characters until the last one that also counts as lower case.
  if (last_both_end > 0) return {last_both_end, 0};
  return {0, end > begin ? end : 0};
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)? at `at`. U+017F folds to s.
size_t skip_contraction(const CharReader& text, size_t at) {
  if (at + 1 >= text.size() || text.byte(at) != '\'') return at;
  const auto lower = [&text](size_t i) -> unsigned char {
    return i < text.size() ? static_cast<unsigned char>(text.byte(i) | 0x20) : 0;
  };
  // Setting bit 5 maps only letters to letters here: no other byte gives one of s, t, m, d.
  const unsigned char a = lower(at + 1);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  const unsigned char b = lower(at + 2);
  if ((a == 'r' || a == 'v') && b == 'e') return at + 3;
  if (a == 'l' && b == 'l') return at + 3;
  if (at + 2 < text.size() && text.byte(at + 1) == 0xC5 && text.byte(at + 2) == 0xBF) return at + 3;
  return at;
}

size_t match_number(const CharReader& text, size_t at) {
  for (int i = 0; i < 3 && at < text.size(); ++i) {
    const Char c = text.at(at);
    if (c.kind != CharClass::kNumber) break;
    at += c.size_bytes;
  }
  return at;
}

/// [^\s\p{L}\p{N}]+[\r\n/]* at `at`, where a symbol stands.
size_t match_symbols(const CharReader& text, size_t at) {
  while (at < text.size()) {
    const Char c = text.at(at);
    if (!is_symbol(c.kind)) break;
    at += c.size_bytes;
  }
  while (at < text.size() &&
         (text.byte(at) == '\r' || text.byte(at) == '\n' || text.byte(at) == '/')) {
    ++at;
  }
  return at;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ at `at`, where white space stands.
size_t match_white(const CharReader& text, size_t at) {
  const size_t begin = at;
  size_t last_begin = at;
  size_t newline_end = 0;
  while (at < text.size()) {
    const Char c = text.at(at);
    if (!is_white(c.kind)) break;
    last_begin = at;
    at += c.size_bytes;
    if (c.kind == CharClass::kNewline) newline_end = at;
  }
  if (newline_end > 0) return newline_end;
  if (at == text.size() || last_begin == begin) return at;
  return last_begin;  // the last one goes with what follows
}

class Llama4Splitter final : public Splitter {
 public:
  size_t piece_end(std::string_view bytes, size_t at) const override {
    const CharReader text(bytes, classes_);
    const Char c = text.at(at);
    // The optional character before a word is anything but a letter, a number, CR or LF.
    const bool may_lead = is_symbol(c.kind) || c.kind == CharClass::kSpace;
    const size_t after = at + c.size_bytes;
    const WordEnds led = may_lead ? match_word(text, after) : WordEnds{0, 0};
    if (led.lower > 0) return skip_contraction(text, led.lower);
    const bool may_start = counts_as_upper(c.kind) || c.kind == CharClass::kLower;
    const WordEnds plain = may_start ? match_word(text, at) : WordEnds{0, 0};
    if (plain.lower > 0) return skip_contraction(text, plain.lower);
    if (led.upper > 0) return skip_contraction(text, led.upper);
    if (plain.upper > 0) return skip_contraction(text, plain.upper);

    if (c.kind == CharClass::kNumber) return match_number(text, at);
    if (is_symbol(c.kind)) return match_symbols(text, at);
    if (bytes[at] == ' ' && after < bytes.size() && is_symbol(text.at(after).kind)) {
      return match_symbols(text, after);
    }
    return match_white(text, at);
  }

 private:
  const CharClasses& classes_ = CharClasses::get();
};

}  // namespace

std::unique_ptr<const Splitter> make_splitter(const std::string& pattern) {
  if (pattern == kLlama4Pattern) return std::make_unique<Llama4Splitter>();
  return make_regex_splitter(pattern);
}

std::string_view TextSlices::next() {
  const CharClasses& classes = CharClasses::get();
  const size_t begin = at_;
  while (at_ < text_.size()) {
    const auto first = static_cast<unsigned char>(text_[at_]);
    size_t size_bytes = 1;
    bool is_space = false;
    if (first < 0x80) {
      is_space = is_white(classes.ascii(first)) || (first >= 0x1C && first <= 0x1F);
    } else if (const size_t n = utf8_char_bytes(text_, at_); n > 0) {
      size_bytes = n;
      is_space = is_white(classes.of(utf8_code_point(text_, at_, n)));
    }
    if (slice_chars_ == kMaxSliceChars) {
      slice_chars_ = 0;
      run_chars_ = 0;
      if (at_ > begin) return text_.substr(begin, at_ - begin);
    }
    if (is_space != run_is_space_ || run_chars_ == 0) {
      run_is_space_ = is_space;
      run_chars_ = 0;
    } else if (run_chars_ == kMaxRunChars) {
      run_chars_ = 0;
      if (at_ > begin) return text_.substr(begin, at_ - begin);
    }
    ++run_chars_;
    ++slice_chars_;
    at_ += size_bytes;
  }
  return text_.substr(begin);
}

}  // namespace corral::text
