#include "io/byte_reader.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"

static_assert(std::endian::native == std::endian::little, "files are little endian");

namespace corral::io {

ByteReader::ByteReader(std::span<const std::byte> bytes, std::string what)
    : bytes_(bytes), what_(std::move(what)) {}

std::span<const std::byte> ByteReader::take(uint64_t n, const char* part) {
  if (n > remaining_bytes()) {
    throw CorruptFile(str(what_, ": cut off or damaged: ", part, " at byte ", position_, " needs ",
                          n, " bytes, ", remaining_bytes(), " are left"));
  }
  const auto out = bytes_.subspan(position_, static_cast<size_t>(n));
  position_ += static_cast<size_t>(n);
  return out;
}

uint32_t ByteReader::read_u32(const char* part) {
  uint32_t value = 0;
  std::memcpy(&value, take(sizeof(value), part).data(), sizeof(value));
  return value;
}

uint64_t ByteReader::read_u64(const char* part) {
  uint64_t value = 0;
  std::memcpy(&value, take(sizeof(value), part).data(), sizeof(value));
  return value;
}

std::string_view ByteReader::read_string(const char* part) {
  const auto bytes = take(read_u64(part), part);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> ByteReader::since(int64_t begin) const {
  return bytes_.subspan(static_cast<size_t>(begin), position_ - static_cast<size_t>(begin));
}

}  // namespace corral::io
