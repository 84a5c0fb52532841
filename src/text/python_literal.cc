#include "text/python_literal.h"

#include <charconv>
#include <cmath>

#include "text/unicode.h"

namespace corral::text {
namespace {

constexpr int kMaxLiteralDepth = 64;
constexpr int kMaxValues = 10'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

enum class Strictness { kStrict, kLenient };

/// Recursive descent; every method returns false (or nullopt) at the first thing it does not know.
/// Lenient, it also takes what Python refuses but JSON does not, and any number of values: it then
/// answers what a text can still become.
class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text, Strictness strictness = Strictness::kStrict)
      : text_(text), lenient_(strictness == Strictness::kLenient) {}

  size_t at() const { return at_; }
  /// The end of the text was reached: what failed may have failed for that reason alone.
  bool ran_out() const { return ran_out_; }

  bool calls(std::vector<PythonCall>& calls) {
    return open_calls(calls) && take(']') && !calls.empty() && at_end();
  }

  bool unclosed_calls(std::vector<PythonCall>& calls) {
    return open_calls(calls) && !calls.empty() && at_end();
  }

  bool value(OrderedJson& out) {
    if (++values_ > kMaxValues && !lenient_) return false;
    if (depth_ > kMaxLiteralDepth) return false;
    const char c = peek();
    if (c == '"' || c == '\'' || starts_string(c)) return strings(out);
    if (c == '[') return take('[') && sequence(out, ']');
    if (c == '(') return take('(') && tuple(out);
    if (c == '{') return take('{') && members(out, '}');
    if (c == '-' || c == '+' || c == '.' || is_digit(c)) return number(out);
    return word(out);
  }

 private:
  /// [f(x=1), g() up to the bracket that closes the list.
  bool open_calls(std::vector<PythonCall>& calls) {
    if (!take('[')) return false;
    do {
      if (peek() == ']' || at_end()) return true;
      PythonCall call;
      if (!name(call.name) || !take('(') || !members(call.arguments, ')')) return false;
      calls.push_back(std::move(call));
    } while (take(','));
    return true;
  }

  bool at_text_end() {
    if (at_ < text_.size()) return false;
    ran_out_ = true;
    return true;
  }
  char peek() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
    return at_text_end() ? '\0' : text_[at_];
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  bool at_end() {
    peek();
    return at_ == text_.size();
  }

  bool name(std::string& out) {
    if (!starts_name(peek())) return false;
    const size_t begin = at_;
    while (at_ < text_.size() && (starts_name(text_[at_]) || is_digit(text_[at_]))) ++at_;
    at_text_end();
    out = text_.substr(begin, at_ - begin);
    return true;
  }

  bool word(OrderedJson& out) {
    std::string word;
    if (!name(word)) return false;
    if (word == "True" || word == "true") {
      out = true;
    } else if (word == "False" || word == "false") {
      out = false;
    } else if (word == "None" || word == "null") {
      out = nullptr;
    } else {
      return false;
    }
    return true;
  }

  /// Values up to `close`.
  bool sequence(OrderedJson& out, char close) {
    out = OrderedJson::array();
    ++depth_;
    do {
      if (take(close)) return leave();
      OrderedJson item;
      if (!value(item)) return false;
      if (!lenient_) out.push_back(std::move(item));
    } while (take(','));
    return take(close) && leave();
  }

  /// A tuple becomes an array; a value in parentheses is that value.
  bool tuple(OrderedJson& out) {
    const size_t begin = at_;
    if (!sequence(out, ')')) return false;
    const bool has_comma = text_.substr(begin, at_ - begin).find(',') != text_.npos;
    if (out.size() == 1 && !has_comma) {
      OrderedJson only = std::move(out[0]);
      out = std::move(only);
    }
    return true;
  }

  /// name=value or "name": value, up to `close`.
  bool members(OrderedJson& out, char close) {
    out = OrderedJson::object();
    ++depth_;
    do {
      if (take(close)) return leave();
      std::string key;
      if (starts_name(peek()) && !starts_string(peek())) {
        if (!name(key) || !take('=')) return false;
      } else {
        OrderedJson text;
        if (close != '}' || !strings(text) || !take(':')) return false;
        key = text.get<std::string>();
      }
      OrderedJson item;
      if (!lenient_ && out.contains(key)) return false;
      if (++members_ > kMaxValues || !value(item)) return false;
      if (!lenient_ || depth_ == 1) out[key] = std::move(item);
    } while (take(','));
    return take(close) && leave();
  }

  bool leave() {
    --depth_;
    return true;
  }

  /// r"..." and u"...": is the letter a prefix?
  bool starts_string(char c) const {
    if (c != 'r' && c != 'R' && c != 'u' && c != 'U') return false;
    return at_ + 1 < text_.size() && (text_[at_ + 1] == '"' || text_[at_ + 1] == '\'');
  }

  /// One or more string literals, which are put together.
  bool strings(OrderedJson& out) {
    std::string text;
    char c = peek();
    if (c != '"' && c != '\'' && !starts_string(c)) return false;
    while (c == '"' || c == '\'' || starts_string(c)) {
      const bool raw = c == 'r' || c == 'R';
      if (c != '"' && c != '\'') ++at_;
      if (!string(text, raw)) return false;
      c = peek();
    }
    out = std::move(text);
    return true;
  }

  bool string(std::string& out, bool raw) {
    const char quote = text_[at_];
    const std::string three(3, quote);
    const bool is_long = text_.substr(at_).starts_with(three);
    const std::string_view end =
        is_long ? std::string_view(three) : std::string_view(three).substr(2);
    at_ += end.size();
    while (!at_text_end()) {
      if (text_.substr(at_).starts_with(end)) {
        at_ += end.size();
        return true;
      }
      const char c = text_[at_++];
      if (c == '\n' && !is_long) return false;
      if (c != '\\') {
        out += c;
      } else if (at_text_end()) {
        return false;
      } else if (raw) {
        out += c;
        out += text_[at_++];
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  bool escape(std::string& out) {
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const char c = text_[at_++];
    if (const size_t i = kLetters.find(c); i != kLetters.npos) {
      out += kMeanings[i];
      return true;
    }
    if (c == '\n') return true;  // a line that goes on
    if (c == 'x') return code_point(out, 2, 16);
    if (c == 'u') return code_point(out, 4, 16);
    if (c == 'U') return code_point(out, 8, 16);
    if (c >= '0' && c <= '7') {
      --at_;
      size_t digits = 0;
      while (digits < 3 && at_ + digits < text_.size() && text_[at_ + digits] >= '0' &&
             text_[at_ + digits] <= '7') {
        ++digits;
      }
      return code_point(out, digits, 8);
    }
    out += '\\';  // an unknown escape stays as it is
    out += c;
    return true;
  }

  bool code_point(std::string& out, size_t digits, int base) {
    if (text_.size() - at_ < digits) {
      ran_out_ = true;
      return false;
    }
    uint32_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, begin + digits, value, base);
    if (error != std::errc{} || end != begin + digits) return false;
    at_ += digits;
    if (lenient_) return true;  // JSON writes a character above U+FFFF as two escapes
    if (value >= 0x110000 || (value >= 0xD800 && value < 0xE000)) return false;
    append_utf8(out, value);
    return true;
  }

  bool number(OrderedJson& out) {
    const bool negative = peek() == '-';
    if (peek() == '-' || peek() == '+') ++at_;
    std::string digits;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool sign = (c == '+' || c == '-') && !digits.empty() &&
                        (digits.back() == 'e' || digits.back() == 'E') && !digits.starts_with("0x");
      if (!is_digit(c) && c != '.' && c != '_' && !starts_name(c) && !sign) break;
      if (c != '_') digits += c;
      ++at_;
    }
    at_text_end();
    if (lenient_) return !digits.empty();
    const bool only_digits = digits.find_first_not_of("0123456789") == digits.npos;
    if (only_digits && digits.size() > 1 && digits[0] == '0') return false;  // 007 is an error
    return integer(digits, negative, out) || real(digits, negative, out);
  }

  static bool integer(std::string_view digits, bool negative, OrderedJson& out) {
    int base = 10;
    if (digits.size() > 2 && digits[0] == '0') {
      const char kind = static_cast<char>(digits[1] | 0x20);
      base = kind == 'x' ? 16 : (kind == 'o' ? 8 : (kind == 'b' ? 2 : 10));
      if (base != 10) digits.remove_prefix(2);
    }
    int64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc{} || end != digits.data() + digits.size() || value < 0) return false;
    out = negative ? -value : value;
    return true;
  }

  static bool real(const std::string& digits, bool negative, OrderedJson& out) {
    if (digits.empty() || starts_name(digits[0])) return false;
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) return false;
    out = negative ? -value : value;
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool lenient_;
  bool ran_out_ = false;
  int depth_ = 0;
  int values_ = 0;
  int members_ = 0;
};

}  // namespace

std::optional<std::vector<PythonCall>> parse_python_calls(std::string_view text) {
  std::vector<PythonCall> calls;
  if (!LiteralReader(text).calls(calls)) return std::nullopt;
  return calls;
}

std::optional<std::vector<PythonCall>> parse_unclosed_python_calls(std::string_view text) {
  std::vector<PythonCall> calls;
  if (!LiteralReader(text).unclosed_calls(calls)) return std::nullopt;
  return calls;
}

Viability viability_of_calls(std::string_view text) {
  LiteralReader reader(text, Strictness::kLenient);
  std::vector<PythonCall> calls;
  if (reader.calls(calls)) return Viability::kComplete;
  return reader.ran_out() ? Viability::kRunsOut : Viability::kWrong;
}

Viability take_viable_object(std::string_view& text, OrderedJson& object) {
  LiteralReader reader(text, Strictness::kLenient);
  if (!reader.value(object)) return reader.ran_out() ? Viability::kRunsOut : Viability::kWrong;
  if (!object.is_object()) return Viability::kWrong;
  text.remove_prefix(reader.at());
  return Viability::kComplete;
}

std::optional<std::pair<OrderedJson, size_t>> parse_python_literal(std::string_view text) {
  LiteralReader reader(text);
  OrderedJson value;
  if (!reader.value(value)) return std::nullopt;
  return std::pair{std::move(value), reader.at()};
}

}  // namespace corral::text
