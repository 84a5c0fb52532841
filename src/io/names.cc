#include "io/names.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace corral::io {
namespace {

constexpr size_t kMaxShownBytes = 100;
constexpr size_t kMaxCompared = 10000;
constexpr size_t kMaxComparedBytes = 200;

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

/// Bytes of the well-formed sequence at the start of text; 0 when there is none.
size_t sequence_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const size_t n = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < n) return 0;
  uint32_t point = first & (0x7Fu >> n);
  for (size_t i = 1; i < n; ++i) {
    if (!is_continuation(text[i])) return 0;
    point = (point << 6) | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  }
  const bool overlong = (n == 3 && point < 0x800) || (n == 4 && point < 0x10000);
  const bool surrogate = point >= 0xD800 && point < 0xE000;
  return overlong || surrogate || point > 0x10FFFF ? 0 : n;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replace = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t n = sequence_bytes(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::string show_name(std::string_view name) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "'";
  while (!name.empty() && out.size() < kMaxShownBytes) {
    const auto c = static_cast<unsigned char>(name[0]);
    const size_t n = sequence_bytes(name);
    if (n == 0 || c < 0x20 || c == 0x7F) {
      out += "\\x";
      out += kHex[c >> 4];
      out += kHex[c & 15u];
      name.remove_prefix(1);
    } else {
      out += name.substr(0, n);
      name.remove_prefix(n);
    }
  }
  return out + (name.empty() ? "'" : "...'");
}

std::string_view nearest_name(std::string_view wanted,
                              const std::vector<std::string_view>& candidates) {
  if (wanted.size() > kMaxComparedBytes) return {};
  std::string_view best;
  size_t best_distance = kMaxComparedBytes;
  const size_t n = std::min(candidates.size(), kMaxCompared);
  for (size_t i = 0; i < n; ++i) {
    const std::string_view candidate = candidates[i];
    if (candidate.size() > kMaxComparedBytes) continue;
    const size_t distance = edit_distance(wanted, candidate);
    if (distance < best_distance && distance <= std::max(wanted.size(), candidate.size()) / 2) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace corral::io
