#include "io/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <limits>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "io/byte_reader.h"
#include "io/names.h"

namespace corral::io {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// Empty when the type is no integer or the value exceeds int64.
std::optional<int64_t> load_integer(GgufType type, const std::byte* at) {
  switch (type) {
    case GgufType::kU8:
      return load<uint8_t>(at);
    case GgufType::kI8:
      return load<int8_t>(at);
    case GgufType::kU16:
      return load<uint16_t>(at);
    case GgufType::kI16:
      return load<int16_t>(at);
    case GgufType::kU32:
      return load<uint32_t>(at);
    case GgufType::kI32:
      return load<int32_t>(at);
    case GgufType::kI64:
      return load<int64_t>(at);
    case GgufType::kU64: {
      const auto value = load<uint64_t>(at);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    case GgufType::kF32:
    case GgufType::kF64:
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return std::nullopt;
}

constexpr const char* kSplitCount = "split.count";
constexpr const char* kSplitNumber = "split.no";
constexpr const char* kSplitTensors = "split.tensors.count";

/// The names that the parts of a split model have: NAME-00001-of-00003.gguf, ...
struct SplitName {
  std::filesystem::path folder;
  std::string stem;
  int64_t count;

  std::string suffix(int64_t part) const {
    std::ostringstream text;
    text << '-' << std::setfill('0') << std::setw(5) << part + 1 << "-of-" << std::setw(5) << count
         << ".gguf";
    return std::move(text).str();
  }
  std::filesystem::path part(int64_t index) const { return folder / (stem + suffix(index)); }
};

/// From the path of one of the parts.
SplitName split_name(const std::filesystem::path& path, int64_t count) {
  SplitName name{path.parent_path(), {}, count};
  const std::string file = path.filename().string();
  const size_t length = name.suffix(0).size();
  if (file.size() > length) {
    name.stem = file.substr(0, file.size() - length);
    const std::string digits = file.substr(name.stem.size() + 1, 5);
    const bool number = digits.find_first_not_of("0123456789") == digits.npos;
    if (number && file == name.stem + name.suffix(std::stol(digits) - 1)) return name;
  }
  throw CorruptFile(str(path.string(), ": is one of ", count,
                        " parts of a split model, but is not named NAME", name.suffix(0),
                        " or the like: give the parts their names back"));
}

}  // namespace

GgufFile::Part GgufFile::open_part(const std::filesystem::path& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  GgufHeader header = parse_gguf(file->bytes(), path.string());
  return {std::move(file), std::move(header)};
}

std::vector<GgufFile::Part> GgufFile::open_parts(const std::filesystem::path& path) {
  std::vector<Part> parts;
  parts.push_back(open_part(path));
  const GgufFile opened({parts.front()});
  const int64_t count = opened.find_uint(kSplitCount).value_or(0);
  if (count <= 1) return parts;
  const SplitName name = split_name(path, count);
  parts.clear();
  size_t tensors = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto part_path = name.part(i);
    std::error_code ignored;
    if (!std::filesystem::exists(part_path, ignored)) {
      throw IoError(str(part_path.string(), ": missing, but ", path.filename().string(),
                        " says that", " it is part ", i + 1, " of ", count,
                        ": the download is not complete"));
    }
    parts.push_back(open_part(part_path));
    const GgufFile part({parts.back()});
    if (part.get_uint(kSplitCount) != count || part.get_uint(kSplitNumber) != i) {
      throw CorruptFile(str(part.origin(), ": says that it is part ",
                            part.get_uint(kSplitNumber) + 1, " of ", part.get_uint(kSplitCount),
                            ", its name says ", i + 1, " of ", count));
    }
    tensors += part.tensors().size();
  }
  const auto expected = opened.find_uint(kSplitTensors);
  if (expected && *expected != static_cast<int64_t>(tensors)) {
    throw CorruptFile(str(path.string(), ": the ", count, " parts hold ", tensors,
                          " tensors, the header says ", *expected));
  }
  return parts;
}

GgufFile::GgufFile(const std::filesystem::path& path) : GgufFile(open_parts(path)) {}

GgufFile::GgufFile(std::vector<Part> parts)
    : WeightSource(parts.front().file->path().string(), tensors_of(parts)),
      version_(parts.front().header.version),
      alignment_bytes_(parts.front().header.alignment_bytes),
      metadata_(std::move(parts.front().header.metadata)) {
  for (Part& part : parts) {
    file_of_.insert(file_of_.end(), part.header.tensors.size(), files_.size());
    files_.push_back(std::move(part.file));
  }
}

std::vector<TensorInfo> GgufFile::tensors_of(const std::vector<Part>& parts) {
  std::vector<TensorInfo> tensors;
  for (const Part& part : parts) {
    tensors.insert(tensors.end(), part.header.tensors.begin(), part.header.tensors.end());
  }
  return tensors;
}

Tensor GgufFile::read(size_t index, const DevicePtr& device) const {
  return map_tensor(files_[file_of_[index]], tensors()[index], device);
}

std::string GgufFile::file_type_name() const {
  const auto type = find_uint("general.file_type");
  return type ? gguf_file_type_name(*type) : std::string();
}

const GgufEntry* GgufFile::find_entry(std::string_view key) const {
  const auto at = std::find_if(metadata_.begin(), metadata_.end(),
                               [&](const GgufEntry& entry) { return entry.key == key; });
  return at == metadata_.end() ? nullptr : &*at;
}

void GgufFile::fail_missing(std::string_view key) const {
  throw CorruptFile(str(origin(), ": lacks the metadata key ", show_name(key)));
}

void GgufFile::fail_value(const GgufEntry& entry, const std::string& needs) const {
  const bool array = entry.type == GgufType::kArray;
  throw CorruptFile(str(origin(), ": metadata key ", show_name(entry.key), " is ",
                        array ? str("an array of ", entry.count, " values of type ",
                                    gguf_type_name(entry.element_type))
                              : str("of type ", gguf_type_name(entry.type)),
                        ", needs ", needs));
}

template <class T>
T GgufFile::required(std::optional<T> value, std::string_view key) const {
  if (!value) fail_missing(key);
  return std::move(*value);
}

std::optional<std::string> GgufFile::find_string(std::string_view key) const {
  const GgufEntry* entry = find_entry(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kString || !is_utf8(as_text(entry->content))) {
    fail_value(*entry, "a string in UTF-8");
  }
  return std::string(as_text(entry->content));
}

std::optional<int64_t> GgufFile::find_int(std::string_view key) const {
  const GgufEntry* entry = find_entry(key);
  if (entry == nullptr) return std::nullopt;
  const auto value = load_integer(entry->type, entry->content.data());
  if (!value) fail_value(*entry, "an integer below 2^63");
  return value;
}

std::optional<int64_t> GgufFile::find_uint(std::string_view key) const {
  const auto value = find_int(key);
  if (value && *value < 0) {
    throw CorruptFile(
        str(origin(), ": metadata key ", show_name(key), " is ", *value, ", must not be negative"));
  }
  return value;
}

std::optional<double> GgufFile::find_float(std::string_view key) const {
  const GgufEntry* entry = find_entry(key);
  if (entry == nullptr) return std::nullopt;
  double value = std::numeric_limits<double>::quiet_NaN();
  if (entry->type == GgufType::kF32) value = load<float>(entry->content.data());
  if (entry->type == GgufType::kF64) value = load<double>(entry->content.data());
  if (!std::isfinite(value)) fail_value(*entry, "a finite f32 or f64");
  return value;
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  const GgufEntry* entry = find_entry(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kBool) fail_value(*entry, "a bool");
  return load<uint8_t>(entry->content.data()) != 0;
}

const GgufEntry* GgufFile::find_array(std::string_view key) const {
  const GgufEntry* entry = find_entry(key);
  if (entry == nullptr) return nullptr;
  if (entry->type != GgufType::kArray || entry->count > kMaxArrayValues) {
    fail_value(*entry, str("an array of at most ", kMaxArrayValues, " values"));
  }
  return entry;
}

std::optional<std::vector<std::string_view>> GgufFile::find_strings(std::string_view key) const {
  const GgufEntry* entry = find_array(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->element_type != GgufType::kString) fail_value(*entry, "strings");
  ByteReader reader(entry->content, origin());
  std::vector<std::string_view> strings;
  strings.reserve(static_cast<size_t>(entry->count));
  for (int64_t i = 0; i < entry->count; ++i) strings.push_back(reader.read_string("a string"));
  return strings;
}

std::optional<std::vector<int64_t>> GgufFile::find_ints(std::string_view key) const {
  const GgufEntry* entry = find_array(key);
  if (entry == nullptr) return std::nullopt;
  const bool boolean = entry->element_type == GgufType::kBool;
  const int64_t element_bytes = gguf_type_bytes(entry->element_type);
  if (element_bytes == 0) fail_value(*entry, "integers");
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(entry->count));
  for (int64_t i = 0; i < entry->count; ++i) {
    const std::byte* at = entry->content.data() + i * element_bytes;
    const auto value = boolean ? std::optional<int64_t>(load<uint8_t>(at) != 0 ? 1 : 0)
                               : load_integer(entry->element_type, at);
    if (!value) fail_value(*entry, "integers below 2^63");
    values.push_back(*value);
  }
  return values;
}

std::optional<std::vector<float>> GgufFile::find_floats(std::string_view key) const {
  const GgufEntry* entry = find_array(key);
  if (entry == nullptr) return std::nullopt;
  const bool wide = entry->element_type == GgufType::kF64;
  if (!wide && entry->element_type != GgufType::kF32) fail_value(*entry, "floats");
  std::vector<float> values;
  values.reserve(static_cast<size_t>(entry->count));
  for (int64_t i = 0; i < entry->count; ++i) {
    const std::byte* at = entry->content.data() + i * (wide ? 8 : 4);
    values.push_back(wide ? static_cast<float>(load<double>(at)) : load<float>(at));
  }
  return values;
}

std::string GgufFile::get_string(std::string_view key) const {
  return required(find_string(key), key);
}
int64_t GgufFile::get_uint(std::string_view key) const { return required(find_uint(key), key); }
int64_t GgufFile::get_int(std::string_view key) const { return required(find_int(key), key); }
double GgufFile::get_float(std::string_view key) const { return required(find_float(key), key); }
bool GgufFile::get_bool(std::string_view key) const { return required(find_bool(key), key); }
std::vector<std::string_view> GgufFile::get_strings(std::string_view key) const {
  return required(find_strings(key), key);
}
std::vector<int64_t> GgufFile::get_ints(std::string_view key) const {
  return required(find_ints(key), key);
}
std::vector<float> GgufFile::get_floats(std::string_view key) const {
  return required(find_floats(key), key);
}

}  // namespace corral::io
