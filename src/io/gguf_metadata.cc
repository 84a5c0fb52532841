#include "io/gguf_metadata.h"

#include <cstring>
#include <limits>

#include "base/error.h"
#include "io/names.h"

namespace corral::io {
namespace {

template <class T>
constexpr int64_t lowest() {
  return std::numeric_limits<T>::min();
}
template <class T>
constexpr int64_t highest() {
  return std::numeric_limits<T>::max();
}

}  // namespace

void GgufMetadata::append(const void* data, size_t size_bytes) {
  encoded_.append(static_cast<const char*>(data), size_bytes);
}

void GgufMetadata::append_string(std::string_view text) {
  const uint64_t length = text.size();
  append(&length, sizeof(length));
  encoded_ += text;
}

void GgufMetadata::begin(std::string_view key, GgufType type) {
  if (key.empty() || key.size() > kMaxGgufKeyBytes || !is_utf8(key)) {
    throw Error(str("GGUF: ", show_name(key), " cannot be a metadata key"));
  }
  if (key == kGgufAlignmentKey && type != GgufType::kU32) {
    throw Error(str("GGUF: ", kGgufAlignmentKey, " is a u32, not ", gguf_type_name(type)));
  }
  if (!keys_.emplace(key).second)
    throw Error(str("GGUF: the key ", show_name(key), " is set twice"));
  append_string(key);
  const auto number = static_cast<uint32_t>(type);
  append(&number, sizeof(number));
}

void GgufMetadata::set_integer(std::string_view key, GgufType type, int64_t value, int64_t min,
                               int64_t max) {
  if (value < min || value > max) {
    throw UsageError(
        str("GGUF: ", show_name(key), " is ", value, ", which is no ", gguf_type_name(type)));
  }
  if (key == kGgufAlignmentKey) {
    if (!is_gguf_alignment(static_cast<uint64_t>(value))) {
      throw UsageError(str("GGUF: ", kGgufAlignmentKey, " is ", value, ", needs a power of two"));
    }
    alignment_bytes_ = value;
  }
  begin(key, type);
  append(&value, static_cast<size_t>(gguf_type_bytes(type)));  // little endian: the low bytes
}

void GgufMetadata::set_u8(std::string_view key, int64_t value) {
  set_integer(key, GgufType::kU8, value, lowest<uint8_t>(), highest<uint8_t>());
}
void GgufMetadata::set_i8(std::string_view key, int64_t value) {
  set_integer(key, GgufType::kI8, value, lowest<int8_t>(), highest<int8_t>());
}
void GgufMetadata::set_u16(std::string_view key, int64_t value) {
  set_integer(key, GgufType::kU16, value, lowest<uint16_t>(), highest<uint16_t>());
}
void GgufMetadata::set_i16(std::string_view key, int64_t value) {
  set_integer(key, GgufType::kI16, value, lowest<int16_t>(), highest<int16_t>());
}
void GgufMetadata::set_u32(std::string_view key, int64_t value) {
  set_integer(key, GgufType::kU32, value, lowest<uint32_t>(), highest<uint32_t>());
}
void GgufMetadata::set_i32(std::string_view key, int64_t value) {
  set_integer(key, GgufType::kI32, value, lowest<int32_t>(), highest<int32_t>());
}
void GgufMetadata::set_i64(std::string_view key, int64_t value) {
  set_integer(key, GgufType::kI64, value, lowest<int64_t>(), highest<int64_t>());
}
void GgufMetadata::set_u64(std::string_view key, uint64_t value) {
  begin(key, GgufType::kU64);
  append(&value, sizeof(value));
}
void GgufMetadata::set_f32(std::string_view key, float value) {
  begin(key, GgufType::kF32);
  append(&value, sizeof(value));
}
void GgufMetadata::set_f64(std::string_view key, double value) {
  begin(key, GgufType::kF64);
  append(&value, sizeof(value));
}
void GgufMetadata::set_bool(std::string_view key, bool value) {
  begin(key, GgufType::kBool);
  encoded_ += value ? '\1' : '\0';
}
void GgufMetadata::set_string(std::string_view key, std::string_view value) {
  begin(key, GgufType::kString);
  append_string(value);
}

void GgufMetadata::begin_array(std::string_view key, GgufType element, size_t count) {
  begin(key, GgufType::kArray);
  const auto number = static_cast<uint32_t>(element);
  const uint64_t length = count;
  append(&number, sizeof(number));
  append(&length, sizeof(length));
}

void GgufMetadata::set_array(std::string_view key, std::span<const uint8_t> values) {
  begin_array(key, GgufType::kU8, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const int8_t> values) {
  begin_array(key, GgufType::kI8, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const uint16_t> values) {
  begin_array(key, GgufType::kU16, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const int16_t> values) {
  begin_array(key, GgufType::kI16, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const uint32_t> values) {
  begin_array(key, GgufType::kU32, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufType::kI32, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const uint64_t> values) {
  begin_array(key, GgufType::kU64, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const int64_t> values) {
  begin_array(key, GgufType::kI64, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::kF32, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const double> values) {
  begin_array(key, GgufType::kF64, values.size());
  append(values.data(), values.size_bytes());
}
void GgufMetadata::set_array(std::string_view key, std::span<const bool> values) {
  begin_array(key, GgufType::kBool, values.size());
  for (const bool value : values) encoded_ += value ? '\1' : '\0';
}
void GgufMetadata::set_array(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) append_string(value);
}

void GgufMetadata::copy(const GgufEntry& entry) {
  if (entry.key == kGgufAlignmentKey && entry.type == GgufType::kU32) {
    uint32_t value = 0;
    std::memcpy(&value, entry.content.data(), sizeof(value));
    return set_u32(entry.key, value);
  }
  begin(entry.key, entry.type);
  append(entry.encoded.data(), entry.encoded.size());
}

}  // namespace corral::io
