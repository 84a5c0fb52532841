#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace corral::media {

/// Bytes of a file of which nothing is known yet: every read is checked. Throws CorruptFile,
/// "NAME: the file ends too early", when a read would pass the end.
class ByteView {
 public:
  ByteView(std::span<const std::byte> bytes, const std::string& name)
      : bytes_(bytes), name_(&name) {}

  int64_t size_bytes() const { return static_cast<int64_t>(bytes_.size()); }
  bool holds(int64_t offset, int64_t count) const {
    return offset >= 0 && count >= 0 && offset <= size_bytes() && count <= size_bytes() - offset;
  }
  bool starts_with(int64_t offset, std::string_view text) const {
    if (!holds(offset, static_cast<int64_t>(text.size()))) return false;
    for (size_t i = 0; i < text.size(); ++i) {
      if (raw(offset + static_cast<int64_t>(i)) != static_cast<uint8_t>(text[i])) return false;
    }
    return true;
  }
  std::span<const std::byte> window(int64_t offset, int64_t count) const {
    check(offset, count);
    return bytes_.subspan(static_cast<size_t>(offset), static_cast<size_t>(count));
  }

  int64_t u8(int64_t offset) const { return big_endian(offset, 1); }
  int64_t u16be(int64_t offset) const { return big_endian(offset, 2); }
  int64_t u32be(int64_t offset) const { return big_endian(offset, 4); }
  int64_t u16le(int64_t offset) const { return little_endian(offset, 2); }
  int64_t u24le(int64_t offset) const { return little_endian(offset, 3); }
  int64_t u32le(int64_t offset) const { return little_endian(offset, 4); }

  const std::string& name() const { return *name_; }
  [[noreturn]] void fail(std::string_view what) const {
    throw CorruptFile(str(*name_, ": ", what));
  }

 private:
  uint8_t raw(int64_t offset) const {
    return static_cast<uint8_t>(bytes_[static_cast<size_t>(offset)]);
  }
  void check(int64_t offset, int64_t count) const {
    if (!holds(offset, count)) fail("the file ends too early");
  }
  int64_t big_endian(int64_t offset, int64_t count) const {
    check(offset, count);
    int64_t value = 0;
    for (int64_t i = 0; i < count; ++i) value = value << 8 | raw(offset + i);
    return value;
  }
  int64_t little_endian(int64_t offset, int64_t count) const {
    check(offset, count);
    int64_t value = 0;
    for (int64_t i = count - 1; i >= 0; --i) value = value << 8 | raw(offset + i);
    return value;
  }

  std::span<const std::byte> bytes_;
  const std::string* name_;
};

}  // namespace corral::media
