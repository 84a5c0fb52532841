#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "io/extents.h"
#include "io/names.h"

static_assert(std::endian::native == std::endian::little, "files are little endian");

namespace corral::io {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kPadding = 8;

struct TypeRow {
  std::string_view name;
  int64_t bytes;
  std::optional<DType> dtype;
};

constexpr std::array<TypeRow, 17> kTypes = {{
    {"F32", 4, DType::kF32},
    {"F16", 2, DType::kF16},
    {"BF16", 2, DType::kBF16},
    {"I32", 4, DType::kI32},
    {"I64", 8, DType::kI64},
    {"U8", 1, DType::kU8},
    {"F64", 8, std::nullopt},
    {"C64", 8, std::nullopt},
    {"U64", 8, std::nullopt},
    {"U32", 4, std::nullopt},
    {"U16", 2, std::nullopt},
    {"I16", 2, std::nullopt},
    {"I8", 1, std::nullopt},
    {"BOOL", 1, std::nullopt},
    {"F8_E4M3", 1, DType::kU8},
    {"F8_E5M2", 1, std::nullopt},
    {"F8_E8M0", 1, std::nullopt},
}};

/// One tensor as the header describes it, before any check.
struct Entry {
  std::string name;
  std::optional<std::string> type;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
  bool has_shape = false;
  bool has_offsets = false;
};

/// Reads the header without building a JSON tree, which could take thirty times the header's
/// length.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(std::string what, int64_t data_offset, int64_t file_bytes)
      : what_(std::move(what)), data_offset_(data_offset), data_bytes_(file_bytes - data_offset) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTensorValue) {
      place_ = Place::kTensor;
    } else if (place_ == Place::kMetadataValue) {
      place_ = Place::kMetadata;
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool end_object() override {
    if (place_ == Place::kTensor) finish_tensor();
    place_ = place_ == Place::kTop ? Place::kEnd : Place::kTop;
    return true;
  }
  bool key(std::string& name) override {
    key_ = name;
    if (place_ == Place::kTop) {
      place_ = name == "__metadata__" ? Place::kMetadataValue : Place::kTensorValue;
      if (place_ == Place::kMetadataValue && std::exchange(has_metadata_, true)) fail_twice();
      entry_ = {};
      entry_.name = name;
    } else if (place_ == Place::kTensor) {
      open_field(name);
    } else if (place_ == Place::kMetadata && header_.metadata.count(name) != 0) {
      fail_twice();
    }
    return true;
  }
  bool start_array(size_t) override {
    if (place_ == Place::kShapeValue) {
      place_ = Place::kShape;
    } else if (place_ == Place::kOffsetsValue) {
      place_ = Place::kOffsets;
    } else {
      unexpected("a list");
    }
    return true;
  }
  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }
  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata[key_] = value;
    } else if (place_ == Place::kTypeValue) {
      entry_.type = value;
      place_ = Place::kTensor;
    } else {
      unexpected("a string");
    }
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (place_ == Place::kShape) {
      // checked_shape() refuses any fifth axis; collecting more would only take memory.
      if (entry_.shape.size() <= Shape::kMaxRank) entry_.shape.push_back(value);
    } else if (place_ == Place::kOffsets && entry_.offsets.size() < 2) {
      entry_.offsets.push_back(value);
    } else {
      unexpected("a number");
    }
    return true;
  }
  bool number_integer(int64_t) override { return unexpected("a negative number"); }
  bool number_float(double, const std::string&) override {
    return unexpected("a number that is not an integer of 64 bits");
  }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool null() override { return unexpected("null"); }
  bool binary(Json::binary_t&) override { return unexpected("binary data"); }
  bool parse_error(size_t byte, const std::string&, const nlohmann::detail::exception&) override {
    throw CorruptFile(str(what_, ": the header is not JSON at byte ", kLengthBytes + byte - 1));
  }

 private:
  enum class Place : uint8_t {
    kStart,
    kTop,
    kMetadataValue,
    kMetadata,
    kTensorValue,
    kTensor,
    kTypeValue,
    kShapeValue,
    kShape,
    kOffsetsValue,
    kOffsets,
    kEnd,
  };

  [[noreturn]] bool unexpected(const char* found) const {
    throw CorruptFile(str(what_, ": the header has ", found, " where none belongs",
                          key_.empty() ? "" : str(" (at ", show_name(key_), ")")));
  }
  [[noreturn]] void fail_twice() const {
    throw CorruptFile(str(what_, ": the header has ", show_name(key_), " twice"));
  }
  [[noreturn]] void fail_tensor(const std::string& reason) const {
    throw CorruptFile(str(what_, ": tensor ", show_name(entry_.name), " ", reason));
  }

  void open_field(const std::string& name) {
    if (name == "dtype") {
      if (entry_.type) fail_twice();
      place_ = Place::kTypeValue;
    } else if (name == "shape") {
      if (std::exchange(entry_.has_shape, true)) fail_twice();
      place_ = Place::kShapeValue;
    } else if (name == "data_offsets") {
      if (std::exchange(entry_.has_offsets, true)) fail_twice();
      place_ = Place::kOffsetsValue;
    } else {
      fail_tensor(str("has the unknown field ", show_name(name)));
    }
  }

  void finish_tensor() {
    if (!entry_.type) fail_tensor("has no dtype");
    if (!entry_.has_shape) fail_tensor("has no shape");
    if (entry_.offsets.size() != 2) fail_tensor("has no pair of data_offsets");
    const uint64_t begin = entry_.offsets[0];
    const uint64_t end = entry_.offsets[1];
    if (begin > end || end > static_cast<uint64_t>(data_bytes_)) {
      fail_tensor(str("has data at bytes [", begin, ", ", end, ") of the ", data_bytes_,
                      " that the file holds"));
    }
    TensorInfo info;
    info.name = std::move(entry_.name);
    info.shape = checked_shape(entry_.shape, what_, info.name);
    info.offset_bytes = data_offset_ + static_cast<int64_t>(begin);
    info.size_bytes = static_cast<int64_t>(end - begin);
    entry_.name = info.name;
    check_size(info);
    info.type_name = std::move(*entry_.type);
    header_.tensors.push_back(std::move(info));
  }

  void check_size(TensorInfo& info) const {
    const auto row = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const TypeRow& r) { return r.name == *entry_.type; });
    if (row == kTypes.end()) return;
    info.dtype = row->dtype;
    const int64_t n = info.shape.numel();
    if (n > std::numeric_limits<int64_t>::max() / row->bytes || n * row->bytes != info.size_bytes) {
      fail_tensor(str("has ", info.size_bytes, " bytes of data; ", info.shape, " of ", row->name,
                      " does not take that many"));
    }
  }

  std::string what_;
  int64_t data_offset_;
  int64_t data_bytes_;
  SafetensorsHeader header_;
  Place place_ = Place::kStart;
  Entry entry_;
  std::string key_;
  bool has_metadata_ = false;
};

std::string json_string(std::string_view text) { return Json(text).dump(); }

}  // namespace

SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& what) {
  uint64_t header_bytes = 0;
  if (file.size() < kLengthBytes) {
    throw CorruptFile(str(what, ": ", file.size(), " bytes are too few for a safetensors file"));
  }
  std::memcpy(&header_bytes, file.data(), kLengthBytes);
  if (header_bytes > static_cast<uint64_t>(kMaxSafetensorsHeaderBytes) ||
      header_bytes > file.size() - kLengthBytes) {
    throw CorruptFile(str(what, ": claims a header of ", header_bytes, " bytes; ",
                          file.size() - kLengthBytes, " follow, at most ",
                          kMaxSafetensorsHeaderBytes, " are allowed: not a safetensors file?"));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                              header_bytes);
  // The JSON parser takes a zero byte for the end of its input.
  if (text.empty() || text[0] != '{' || text.find('\0') != text.npos) {
    throw CorruptFile(str(what, ": the header is not a JSON object: not a safetensors file?"));
  }
  HeaderReader reader(what, static_cast<int64_t>(kLengthBytes + header_bytes),
                      static_cast<int64_t>(file.size()));
  Json::sax_parse(text.begin(), text.end(), &reader);
  SafetensorsHeader header = reader.take();
  check_no_overlap(header.tensors, what);
  return header;
}

std::string encode_safetensors_header(const SafetensorsHeader& header) {
  std::string text = "{";
  if (!header.metadata.empty()) {
    text += "\"__metadata__\":" + Json(header.metadata).dump();
  }
  int64_t offset = 0;
  for (const TensorInfo& tensor : header.tensors) {
    if (text.size() > 1) text += ',';
    text += json_string(tensor.name) + ":{\"dtype\":" + json_string(tensor.type_name) +
            ",\"shape\":" + Json(tensor.shape.dims()).dump() + ",\"data_offsets\":[" +
            std::to_string(offset) + "," + std::to_string(offset + tensor.size_bytes) + "]}";
    offset += tensor.size_bytes;
  }
  text += '}';
  text.resize((text.size() + kPadding - 1) / kPadding * kPadding, ' ');
  const uint64_t header_bytes = text.size();
  std::string out(kLengthBytes, '\0');
  std::memcpy(out.data(), &header_bytes, kLengthBytes);
  return out + text;
}

std::string_view safetensors_type_name(DType dtype) {
  for (const TypeRow& row : kTypes) {
    if (row.dtype == dtype) return row.name;
  }
  return {};
}

}  // namespace corral::io
