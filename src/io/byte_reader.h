#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace corral::io {

/// Walks over little-endian bytes that may end anywhere. Every read is checked; past the end it
/// throws CorruptFile with the file's name, the place and what was to be read.
class ByteReader {
 public:
  /// what: the file's name, for messages.
  ByteReader(std::span<const std::byte> bytes, std::string what);

  int64_t position_bytes() const { return static_cast<int64_t>(position_); }
  uint64_t remaining_bytes() const { return bytes_.size() - position_; }
  const std::string& what() const { return what_; }

  std::span<const std::byte> take(uint64_t n, const char* part);
  uint32_t read_u32(const char* part);
  uint64_t read_u64(const char* part);
  /// A u64 length and as many bytes; a view of the input.
  std::string_view read_string(const char* part);
  /// The bytes from `begin` (an earlier position) to here.
  std::span<const std::byte> since(int64_t begin) const;

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  std::string what_;
};

}  // namespace corral::io
