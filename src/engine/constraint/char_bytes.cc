#include "engine/constraint/char_bytes.h"

#include <array>
#include <string_view>

namespace corral::engine {
namespace {

using Sequence = std::vector<ByteRange>;

constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t";
constexpr std::string_view kEscapeLetters = "\"\\bfnrt";

uint8_t byte(uint32_t value) { return static_cast<uint8_t>(value); }

// Characters of one length in UTF-8, of which the last `tail` bytes vary: cuts the range until each
// byte's range is independent of the others'.
void add_utf8(uint32_t low, uint32_t high, int bytes, std::vector<Sequence>& out) {
  for (int tail = 1; tail < bytes; ++tail) {
    const uint32_t mask = (1u << (6 * tail)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      add_utf8(low, low | mask, bytes, out);
      add_utf8((low | mask) + 1, high, bytes, out);
      return;
    }
    if ((high & mask) != mask) {
      add_utf8(low, (high & ~mask) - 1, bytes, out);
      add_utf8(high & ~mask, high, bytes, out);
      return;
    }
  }
  constexpr std::array<uint32_t, 5> kLead = {0, 0, 0xC0, 0xE0, 0xF0};
  Sequence sequence;
  for (int i = bytes - 1; i >= 0; --i) {
    const bool is_lead = i == bytes - 1;
    const uint32_t mark = is_lead ? kLead[static_cast<size_t>(bytes)] : 0x80;
    const uint32_t bits = is_lead ? 0xFF : 0x3F;
    sequence.push_back(
        {byte(mark | ((low >> (6 * i)) & bits)), byte(mark | ((high >> (6 * i)) & bits))});
  }
  out.push_back(std::move(sequence));
}

void add_utf8(const CharSet& set, std::vector<Sequence>& out) {
  constexpr std::array<uint32_t, 5> kFirst = {0, 0x80, 0x800, 0x10000, 0x110000};
  for (int bytes = 1; bytes <= 4; ++bytes) {
    const auto of_length = set & CharSet::range(kFirst[static_cast<size_t>(bytes) - 1],
                                                kFirst[static_cast<size_t>(bytes)] - 1);
    for (const auto& range : of_length.ranges()) {
      if (bytes == 1) {
        out.push_back({{byte(range.low), byte(range.high)}});
      } else {
        add_utf8(range.low, range.high, bytes, out);
      }
    }
  }
}

Sequence text(std::string_view bytes) {
  Sequence sequence;
  for (const char c : bytes) sequence.push_back({static_cast<uint8_t>(c), static_cast<uint8_t>(c)});
  return sequence;
}

}  // namespace

std::vector<Sequence> spellings(const CharSet& set, Spelling spelling) {
  std::vector<Sequence> out;
  if (spelling == Spelling::kUtf8) {
    add_utf8(set, out);
    return out;
  }
  const CharSet escaped = CharSet::range(0, 0x1F) | CharSet::one('"') | CharSet::one('\\');
  add_utf8(set - escaped, out);
  const CharSet with_escape = set & escaped;
  for (const auto& range : with_escape.ranges()) {
    for (uint32_t c = range.low; c <= range.high; ++c) {
      const size_t letter = kEscaped.find(static_cast<char>(c));
      if (letter != kEscaped.npos) {
        const char escape[] = {'\\', kEscapeLetters[letter]};
        out.push_back(text({escape, 2}));
      } else {
        Sequence sequence = text("\\u00");
        sequence.push_back({byte('0' + c / 16), byte('0' + c / 16)});
        const char digit = "0123456789abcdef"[c % 16];
        sequence.push_back({static_cast<uint8_t>(digit), static_cast<uint8_t>(digit)});
        out.push_back(std::move(sequence));
      }
    }
  }
  return out;
}

}  // namespace corral::engine
