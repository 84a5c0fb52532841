#pragma once

#include <string>
#include <string_view>

namespace corral::text {

/// Turns the bytes of tokens, as they come, into text that never ends inside a character. All it
/// gives out, put together, is utf8_with_replacement() of all bytes.
class Utf8Stream {
 public:
  /// The text that is certain after these bytes; at most three bytes stay behind.
  std::string push(std::string_view bytes);
  /// The end: U+FFFD for a character that was never completed. The stream is empty again.
  std::string finish();

 private:
  std::string held_;
};

}  // namespace corral::text
