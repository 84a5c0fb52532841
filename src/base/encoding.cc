#include "base/encoding.h"

#include <array>
#include <cstdint>

namespace corral {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 255;
constexpr uint8_t kSpace = 254;

constexpr std::array<uint8_t, 256> make_table() {
  std::array<uint8_t, 256> table{};
  for (auto& entry : table) entry = kNone;
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  }
  table['-'] = 62;
  table['_'] = 63;
  for (const char space : {' ', '\t', '\r', '\n'})
    table[static_cast<unsigned char>(space)] = kSpace;
  return table;
}

}  // namespace

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string to_hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += to_hex(static_cast<unsigned char>(byte), 2);
  return text;
}

std::string to_hex(uint64_t value, int digits) {
  std::string text;
  for (int i = digits - 1; i >= 0; --i) text += "0123456789abcdef"[value >> (4 * i) & 15];
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

std::string percent_decode(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' ? from_hex(text.substr(i + 1, 2)) : std::nullopt;
    if (!byte || byte->empty()) {
      result += text[i];
      continue;
    }
    result += *byte;
    i += 2;
  }
  return result;
}

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto part = bytes.substr(i, 3);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < part.size() ? static_cast<unsigned char>(part[k]) : 0);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += k <= part.size() ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  static constexpr auto kTable = make_table();
  while (!text.empty() &&
         (text.back() == '=' || kTable[static_cast<unsigned char>(text.back())] == kSpace)) {
    text.remove_suffix(1);
  }
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int held = 0;
  size_t digits = 0;
  for (const char character : text) {
    const uint8_t digit = kTable[static_cast<unsigned char>(character)];
    if (digit == kSpace) continue;
    if (digit == kNone) return std::nullopt;
    ++digits;
    bits = bits << 6 | digit;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held & 255);
  }
  // One digit alone is no byte.
  if (digits % 4 == 1) return std::nullopt;
  return bytes;
}

std::optional<std::string> base64_decode_padded(std::string_view text) {
  const size_t digits = text.find_last_not_of('=') + 1;
  if (text.empty() || text.size() % 4 != 0 || text.size() - digits > 2) return std::nullopt;
  if (text.find_first_of("-_ \t\r\n") != text.npos) return std::nullopt;
  return base64_decode(text);
}

}  // namespace corral
