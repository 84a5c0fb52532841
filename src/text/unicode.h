#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corral::text {

/// What the split pattern of Llama 4's tokenizer can tell apart.
enum class CharClass : uint8_t {
  kOther = 0,
  kUpper = 1,    // Lu, Lt
  kLower = 2,    // Ll
  kLetter = 3,   // Lm, Lo: letters that count as both upper and lower case
  kMark = 4,     // M: both cases as well, but not a letter
  kNumber = 5,   // N
  kSpace = 6,    // White_Space without the two below
  kNewline = 7,  // CR, LF
};

/// The class of every code point, as two-level table (Unicode version: unicode_table.inc).
/// Immutable; one instance for the process.
class CharClasses {
 public:
  static const CharClasses& get();

  CharClass ascii(unsigned char c) const { return ascii_[c]; }
  /// code_point < 0x110000.
  CharClass of(uint32_t code_point) const {
    return blocks_[static_cast<size_t>(index_[code_point >> kShift]) * kBlock +
                   (code_point & (kBlock - 1))];
  }

 private:
  static constexpr int kShift = 7;
  static constexpr uint32_t kBlock = 1u << kShift;

  CharClasses();

  CharClass ascii_[128];
  std::vector<uint16_t> index_;
  std::vector<CharClass> blocks_;
};

/// The length in bytes of the well-formed UTF-8 character that starts at `at`, 0 when there is none
/// (stray or missing continuation, overlong form, surrogate, beyond U+10FFFF). at < text.size().
size_t utf8_char_bytes(std::string_view text, size_t at);

/// The code point of a well-formed character of `size_bytes` bytes (1 to 4).
uint32_t utf8_code_point(std::string_view text, size_t at, size_t size_bytes);

/// How many bytes at `at`, where no well-formed character starts, stand for one U+FFFD: the longest
/// prefix of a well-formed character, at least one byte (Unicode 3.9, "maximal subpart"; Python's
/// errors="replace" does the same). `reaches_end` is set when the text ended before the character
/// became ill-formed, so that more bytes could complete it.
size_t utf8_bad_bytes(std::string_view text, size_t at, bool* reaches_end = nullptr);

/// Valid UTF-8: every ill-formed part becomes U+FFFD.
std::string utf8_with_replacement(std::string_view bytes);

bool is_valid_utf8(std::string_view bytes);

/// Appends code_point (a Unicode scalar value) as UTF-8.
void append_utf8(std::string& out, uint32_t code_point);

}  // namespace corral::text
