#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"

namespace corral::text {
namespace {

constexpr uint32_t kCharacters = 256 + 68;

struct Alphabet {
  std::array<uint32_t, 256> character{};
  std::array<int16_t, kCharacters> byte{};
};

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte) byte = -1;
  uint32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const uint32_t c = stands_for_itself(byte) ? static_cast<uint32_t>(byte) : next++;
    alphabet.character[static_cast<size_t>(byte)] = c;
    alphabet.byte[c] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (const char c : bytes) append_utf8(text, kAlphabet.character[static_cast<unsigned char>(c)]);
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t n = utf8_char_bytes(text, at);
    if (n == 0) return std::nullopt;
    const uint32_t c = utf8_code_point(text, at, n);
    if (c >= kCharacters || kAlphabet.byte[c] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[c]);
    at += n;
  }
  return bytes;
}

}  // namespace corral::text
