#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "io/gguf_header.h"

namespace corral::io {

/// The metadata of a GGUF file to be written, in the order of the calls. All setters throw Error
/// for a key that is empty, longer than 65535 bytes, not UTF-8 or set before; the integer ones
/// UsageError for a value that does not fit. Readers expect the very types that
/// docs/formats/gguf.md lists: llama.cpp refuses a u64 where it wants a u32.
class GgufMetadata {
 public:
  void set_u8(std::string_view key, int64_t value);
  void set_i8(std::string_view key, int64_t value);
  void set_u16(std::string_view key, int64_t value);
  void set_i16(std::string_view key, int64_t value);
  void set_u32(std::string_view key, int64_t value);
  void set_i32(std::string_view key, int64_t value);
  void set_u64(std::string_view key, uint64_t value);
  void set_i64(std::string_view key, int64_t value);
  void set_f32(std::string_view key, float value);
  void set_f64(std::string_view key, double value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);

  void set_array(std::string_view key, std::span<const uint8_t> values);
  void set_array(std::string_view key, std::span<const int8_t> values);
  void set_array(std::string_view key, std::span<const uint16_t> values);
  void set_array(std::string_view key, std::span<const int16_t> values);
  void set_array(std::string_view key, std::span<const uint32_t> values);
  void set_array(std::string_view key, std::span<const int32_t> values);
  void set_array(std::string_view key, std::span<const uint64_t> values);
  void set_array(std::string_view key, std::span<const int64_t> values);
  void set_array(std::string_view key, std::span<const float> values);
  void set_array(std::string_view key, std::span<const double> values);
  void set_array(std::string_view key, std::span<const bool> values);
  void set_array(std::string_view key, std::span<const std::string> values);

  /// Takes over an entry of another file as it is, under its own key.
  void copy(const GgufEntry& entry);

  bool has(std::string_view key) const { return keys_.find(key) != keys_.end(); }
  int64_t count() const { return static_cast<int64_t>(keys_.size()); }
  /// The entries as they stand in a file.
  const std::string& encoded() const { return encoded_; }
  /// general.alignment, 32 unless set.
  int64_t alignment_bytes() const { return alignment_bytes_; }

 private:
  void begin(std::string_view key, GgufType type);
  void set_integer(std::string_view key, GgufType type, int64_t value, int64_t min, int64_t max);
  void begin_array(std::string_view key, GgufType element, size_t count);
  void append(const void* data, size_t size_bytes);
  void append_string(std::string_view text);

  std::set<std::string, std::less<>> keys_;
  std::string encoded_;
  int64_t alignment_bytes_ = kGgufDefaultAlignment;
};

}  // namespace corral::io
