#include "text/unicode.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace corral::text {
namespace {

constexpr uint32_t kRuns[] = {
#include "text/unicode_table.inc"
};

constexpr uint32_t kCodePoints = 0x110000;

/// What the first byte promises: length of the character and the range its second byte must lie in
/// (Unicode 3.9, table 3-7). Length 0: no character starts with this byte.
struct Lead {
  size_t size_bytes;
  unsigned char low;
  unsigned char high;
};

Lead lead_of(unsigned char first) {
  if (first < 0x80) return {1, 0, 0};
  if (first < 0xC2) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};
  if (first == 0xED) return {3, 0x80, 0x9F};
  if (first < 0xF0) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first < 0xF4) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

unsigned char byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// How many of the lead's bytes are there and right.
size_t good_bytes(std::string_view text, size_t at, const Lead& lead) {
  size_t n = 1;
  while (n < lead.size_bytes && at + n < text.size()) {
    const unsigned char c = byte_at(text, at + n);
    const bool good = n == 1 ? c >= lead.low && c <= lead.high : (c & 0xC0) == 0x80;
    if (!good) break;
    ++n;
  }
  return n;
}

}  // namespace

CharClasses::CharClasses() : index_(kCodePoints >> kShift) {
  std::map<std::vector<CharClass>, uint16_t> seen;
  std::vector<CharClass> block(kBlock);
  size_t run = 0;
  for (uint32_t c = 0; c < kCodePoints; ++c) {
    while (run + 1 < std::size(kRuns) && (kRuns[run + 1] >> 3) <= c) ++run;
    const auto value = static_cast<CharClass>(kRuns[run] & 7);
    if (c < 128) ascii_[c] = value;
    block[c & (kBlock - 1)] = value;
    if ((c & (kBlock - 1)) != kBlock - 1) continue;
    const auto [it, is_new] = seen.emplace(block, static_cast<uint16_t>(seen.size()));
    if (is_new) blocks_.insert(blocks_.end(), block.begin(), block.end());
    index_[c >> kShift] = it->second;
  }
}

const CharClasses& CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

size_t utf8_char_bytes(std::string_view text, size_t at) {
  const Lead lead = lead_of(byte_at(text, at));
  if (lead.size_bytes < 2) return lead.size_bytes;
  return good_bytes(text, at, lead) == lead.size_bytes ? lead.size_bytes : 0;
}

uint32_t utf8_code_point(std::string_view text, size_t at, size_t size_bytes) {
  uint32_t c = byte_at(text, at);
  if (size_bytes == 1) return c;
  c &= 0x7Fu >> size_bytes;
  for (size_t i = 1; i < size_bytes; ++i) c = c << 6 | (byte_at(text, at + i) & 0x3Fu);
  return c;
}

size_t utf8_bad_bytes(std::string_view text, size_t at, bool* reaches_end) {
  const Lead lead = lead_of(byte_at(text, at));
  const size_t n = lead.size_bytes == 0 ? 1 : good_bytes(text, at, lead);
  if (reaches_end != nullptr) *reaches_end = n < lead.size_bytes && at + n == text.size();
  return n;
}

std::string utf8_with_replacement(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    if (const size_t n = utf8_char_bytes(bytes, at); n > 0) {
      out.append(bytes, at, n);
      at += n;
    } else {
      out += "\xEF\xBF\xBD";
      at += utf8_bad_bytes(bytes, at);
    }
  }
  return out;
}

bool is_valid_utf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const size_t n = utf8_char_bytes(bytes, at);
    if (n == 0) return false;
    at += n;
  }
  return true;
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace corral::text
