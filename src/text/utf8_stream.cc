#include "text/utf8_stream.h"

#include "text/unicode.h"

namespace corral::text {

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  // Only the last three bytes can be an unfinished character.
  size_t complete = held_.size();
  for (size_t back = 1; back <= 3 && back <= held_.size(); ++back) {
    const size_t at = held_.size() - back;
    const auto byte = static_cast<unsigned char>(held_[at]);
    if ((byte & 0xC0) == 0x80) continue;
    bool reaches_end = false;
    if (utf8_char_bytes(held_, at) == 0) utf8_bad_bytes(held_, at, &reaches_end);
    if (reaches_end) complete = at;
    break;
  }
  std::string text = utf8_with_replacement(std::string_view(held_).substr(0, complete));
  held_.erase(0, complete);
  return text;
}

std::string Utf8Stream::finish() {
  std::string text = utf8_with_replacement(held_);
  held_.clear();
  return text;
}

}  // namespace corral::text
