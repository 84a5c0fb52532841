#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace corral {

/// A number of 64 bits that changes when any of the bytes does: to tell things apart and to notice
/// damage, not for secrets. The same on every machine of one byte order.
class Fingerprint {
 public:
  void add(uint64_t word) {
    // Multiplication by an odd number and a shift of the upper half down are one to one, so a
    // change of one word is never lost.
    value_ = (value_ ^ word) * 0x9e3779b97f4a7c15U;
    value_ ^= value_ >> 32;
  }
  void add(std::span<const std::byte> bytes) {
    add(uint64_t{bytes.size()});
    while (bytes.size() >= sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data(), sizeof word);
      add(word);
      bytes = bytes.subspan(sizeof word);
    }
    uint64_t rest = 0;
    if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
    add(rest);
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0x243f6a8885a308d3U;
};

}  // namespace corral
