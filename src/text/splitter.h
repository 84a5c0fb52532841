#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace corral::text {

/// The split pattern of Llama 4's tokenizer (the one published as o200k_base).
extern const std::string_view kLlama4Pattern;

/// Cuts text into the pieces inside which byte pairs may merge. The pieces of a text, put together,
/// are the text. Thread-safe.
class Splitter {
 public:
  virtual ~Splitter() = default;

  /// Where the piece that starts at `at` ends: > at, <= text.size(). Needs at < text.size() and
  /// `at` to be 0 or the end of a piece. The text may be any bytes; bytes that are not UTF-8 count
  /// as symbols of one byte each.
  virtual size_t piece_end(std::string_view text, size_t at) const = 0;
};

/// The splitter of a pattern: Llama 4's own by hand (a pass over the text, without backtracking
/// over more than a piece), any other through PCRE2. Throws CorruptFile when the pattern does not
/// compile.
std::unique_ptr<const Splitter> make_splitter(const std::string& pattern);

/// Always through PCRE2; make_splitter(kLlama4Pattern) is tested against it.
std::unique_ptr<const Splitter> make_regex_splitter(const std::string& pattern);

/// The places where Meta's tokenizer cuts a text before it splits it: after every 400,000
/// characters, and inside a run of white space or of anything else after every 25,000 characters of
/// it. Here the separators U+001C to U+001F count as white space, as in Python's str.isspace.
class TextSlices {
 public:
  explicit TextSlices(std::string_view text) : text_(text) {}

  /// The next slice; an empty view when the text is used up.
  std::string_view next();

 private:
  static constexpr size_t kMaxSliceChars = 400'000;
  static constexpr size_t kMaxRunChars = 25'000;

  std::string_view text_;
  size_t at_ = 0;
  size_t slice_chars_ = 0;  // since the last cut after 400,000 characters
  size_t run_chars_ = 0;
  bool run_is_space_ = false;
};

}  // namespace corral::text
