#include "io/gguf_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "base/error.h"
#include "io/byte_reader.h"
#include "io/extents.h"
#include "io/names.h"

namespace corral::io {
namespace {

constexpr uint64_t kMaxAlignmentBytes = uint64_t{1} << 30;
constexpr uint32_t kMaxAxes = 4;
constexpr int kMaxArrayDepth = 8;
// The largest models have a hundred thousand tensors, and vocabularies are single entries.
constexpr uint64_t kMaxCount = 1'000'000;
// The least that an entry can take: key length, type, value; name length, axes, type, offset.
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;
constexpr uint64_t kMinStringBytes = 8;
constexpr uint64_t kMinArrayBytes = 4 + 8;

GgufType read_type(ByteReader& reader, std::string_view key) {
  const uint32_t type = reader.read_u32("a value type");
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    throw CorruptFile(
        str(reader.what(), ": key ", show_name(key), " has the unknown value type ", type));
  }
  return static_cast<GgufType>(type);
}

/// Moves past a value and returns its content; sets the element type and count of an outermost
/// array.
std::span<const std::byte> read_value(ByteReader& reader, GgufType type, int depth,
                                      GgufEntry& entry) {
  const int64_t fixed = gguf_type_bytes(type);
  if (fixed > 0) return reader.take(static_cast<uint64_t>(fixed), "a value");
  if (type == GgufType::kString) {
    return std::as_bytes(std::span<const char>(reader.read_string("a string")));
  }
  if (depth >= kMaxArrayDepth) {
    throw CorruptFile(str(reader.what(), ": key ", show_name(entry.key),
                          " nests arrays deeper than ", kMaxArrayDepth));
  }
  const GgufType element = read_type(reader, entry.key);
  const uint64_t count = reader.read_u64("an array length");
  const int64_t element_bytes = gguf_type_bytes(element);
  const uint64_t least = element_bytes > 0              ? static_cast<uint64_t>(element_bytes)
                         : element == GgufType::kString ? kMinStringBytes
                                                        : kMinArrayBytes;
  if (count > reader.remaining_bytes() / least) {
    throw CorruptFile(str(reader.what(), ": key ", show_name(entry.key), " claims an array of ",
                          count, " values, more than the rest of the file can hold"));
  }
  if (depth == 0) {
    entry.element_type = element;
    entry.count = static_cast<int64_t>(count);
  }
  const int64_t begin = reader.position_bytes();
  if (element_bytes > 0) {
    reader.take(count * least, "an array");
  } else {
    for (uint64_t i = 0; i < count; ++i) read_value(reader, element, depth + 1, entry);
  }
  return reader.since(begin);
}

GgufEntry read_entry(ByteReader& reader) {
  GgufEntry entry;
  entry.key = reader.read_string("a key");
  if (entry.key.empty() || entry.key.size() > kMaxGgufKeyBytes || !is_utf8(entry.key)) {
    throw CorruptFile(str(reader.what(), ": ", show_name(entry.key), " is not a metadata key"));
  }
  entry.type = read_type(reader, entry.key);
  const int64_t begin = reader.position_bytes();
  entry.content = read_value(reader, entry.type, 0, entry);
  entry.encoded = reader.since(begin);
  return entry;
}

void check_keys_differ(const std::vector<GgufEntry>& metadata, const std::string& what) {
  std::vector<std::string_view> keys;
  keys.reserve(metadata.size());
  for (const GgufEntry& entry : metadata) keys.push_back(entry.key);
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice != keys.end())
    throw CorruptFile(str(what, ": the key ", show_name(*twice), " occurs twice"));
}

int64_t read_alignment(const std::vector<GgufEntry>& metadata, const std::string& what) {
  const auto entry = std::find_if(metadata.begin(), metadata.end(),
                                  [](const GgufEntry& e) { return e.key == kGgufAlignmentKey; });
  if (entry == metadata.end()) return kGgufDefaultAlignment;
  uint32_t value = 0;
  if (entry->type == GgufType::kU32) std::memcpy(&value, entry->content.data(), sizeof(value));
  if (!is_gguf_alignment(value)) {
    throw CorruptFile(str(what, ": ", kGgufAlignmentKey, " is ",
                          entry->type == GgufType::kU32
                              ? std::to_string(value)
                              : str("of type ", gguf_type_name(entry->type)),
                          ", needs a u32 that is a power of two up to ", kMaxAlignmentBytes));
  }
  return value;
}

/// Bytes of the elements, -1 when the type is unknown.
int64_t tensor_bytes(const TensorInfo& tensor, uint32_t type_number, const std::string& what) {
  const GgmlType* type = find_ggml_type(type_number);
  if (type == nullptr) return -1;
  const int64_t row = tensor.shape.rank() == 0 ? 1 : tensor.shape[-1];
  if (row % type->block_elements != 0) {
    throw CorruptFile(str(what, ": tensor ", show_name(tensor.name), " is ", tensor.shape, ", but ",
                          type->name, " has blocks of ", type->block_elements));
  }
  const int64_t blocks = tensor.shape.numel() / type->block_elements;
  if (blocks > std::numeric_limits<int64_t>::max() / type->block_bytes) {
    throw CorruptFile(
        str(what, ": tensor ", show_name(tensor.name), " is larger than any file: ", tensor.shape));
  }
  return blocks * type->block_bytes;
}

/// offset_bytes is still relative to the start of the data.
TensorInfo read_tensor(ByteReader& reader) {
  TensorInfo tensor;
  tensor.name = reader.read_string("a tensor name");
  if (tensor.name.empty() || tensor.name.size() > kMaxGgufKeyBytes || !is_utf8(tensor.name)) {
    throw CorruptFile(str(reader.what(), ": ", show_name(tensor.name), " is not a tensor name"));
  }
  const uint32_t axes = reader.read_u32("a number of axes");
  if (axes > kMaxAxes) {
    throw CorruptFile(str(reader.what(), ": tensor ", show_name(tensor.name), " has ", axes,
                          " axes, at most ", kMaxAxes, " are possible"));
  }
  std::array<uint64_t, kMaxAxes> dims{};
  // The file has the innermost axis first.
  for (uint32_t i = 0; i < axes; ++i) dims[axes - 1 - i] = reader.read_u64("a dimension");
  tensor.shape = checked_shape({dims.data(), axes}, reader.what(), tensor.name);
  const uint32_t type_number = reader.read_u32("a tensor type");
  const GgmlType* type = find_ggml_type(type_number);
  tensor.type_name = type == nullptr ? str("ggml type ", type_number) : std::string(type->name);
  if (type != nullptr) tensor.dtype = type->dtype;
  tensor.size_bytes = tensor_bytes(tensor, type_number, reader.what());
  const uint64_t offset = reader.read_u64("a tensor offset");
  if (offset > reader.remaining_bytes()) {
    throw CorruptFile(str(reader.what(), ": tensor ", show_name(tensor.name),
                          " lies behind the end of the file, at byte ", offset, " of the data"));
  }
  tensor.offset_bytes = static_cast<int64_t>(offset);
  return tensor;
}

uint32_t read_version(ByteReader& reader) {
  const auto magic = reader.take(kGgufMagic.size(), "the magic number");
  if (std::memcmp(magic.data(), kGgufMagic.data(), kGgufMagic.size()) != 0) {
    throw CorruptFile(str(reader.what(), ": does not begin with 'GGUF': not a GGUF file"));
  }
  const uint32_t version = reader.read_u32("the version");
  // Versions are small: all of it in the upper half means that the bytes are in the other order.
  if (version != 0 && (version & 0xFFFFu) == 0) {
    throw NotSupported(
        str(reader.what(), ": big-endian GGUF file: convert it to little endian first"));
  }
  if (version != 2 && version != kGgufVersion) {
    throw NotSupported(
        str(reader.what(), ": GGUF version ", version, "; versions 2 and 3 can be read"));
  }
  return version;
}

/// Makes the offset absolute; the data must lie inside the file and on the file's alignment.
void place_tensor(TensorInfo& tensor, int64_t alignment_bytes, int64_t data_offset,
                  int64_t file_bytes, const std::string& what) {
  const int64_t data_bytes = std::max<int64_t>(0, file_bytes - data_offset);
  const int64_t needs_bytes = std::max<int64_t>(0, tensor.size_bytes);
  if (tensor.offset_bytes % alignment_bytes != 0) {
    throw CorruptFile(str(what, ": tensor ", show_name(tensor.name), " lies at byte ",
                          tensor.offset_bytes, " of the data, not a multiple of ",
                          alignment_bytes));
  }
  // An empty tensor at the end of a file may point behind the padding that was left out.
  if (needs_bytes == 0 && tensor.offset_bytes > data_bytes) tensor.offset_bytes = data_bytes;
  if (tensor.offset_bytes > data_bytes || needs_bytes > data_bytes - tensor.offset_bytes) {
    throw CorruptFile(str(what, ": cut off or damaged: tensor ", show_name(tensor.name), " needs ",
                          needs_bytes, " bytes at byte ", tensor.offset_bytes, " of the data, ",
                          data_bytes, " are there"));
  }
  tensor.offset_bytes += std::min(data_offset, file_bytes);
}

}  // namespace

bool is_gguf_alignment(uint64_t alignment_bytes) {
  return std::has_single_bit(alignment_bytes) && alignment_bytes <= kMaxAlignmentBytes;
}

GgufHeader parse_gguf(std::span<const std::byte> file, const std::string& what) {
  ByteReader reader(file, what);
  GgufHeader header;
  header.version = read_version(reader);
  const uint64_t tensors = reader.read_u64("the number of tensors");
  const uint64_t entries = reader.read_u64("the number of metadata entries");
  if (tensors > reader.remaining_bytes() / kMinTensorBytes ||
      entries > reader.remaining_bytes() / kMinEntryBytes || tensors > kMaxCount ||
      entries > kMaxCount) {
    throw CorruptFile(str(what, ": claims ", tensors, " tensors and ", entries,
                          " metadata entries, more than its ", file.size(),
                          " bytes can hold or than ", kMaxCount));
  }
  for (uint64_t i = 0; i < entries; ++i) header.metadata.push_back(read_entry(reader));
  check_keys_differ(header.metadata, what);
  header.alignment_bytes = read_alignment(header.metadata, what);
  for (uint64_t i = 0; i < tensors; ++i) header.tensors.push_back(read_tensor(reader));

  const int64_t alignment = header.alignment_bytes;
  const int64_t data_offset = (reader.position_bytes() + alignment - 1) / alignment * alignment;
  for (TensorInfo& tensor : header.tensors) {
    place_tensor(tensor, alignment, data_offset, static_cast<int64_t>(file.size()), what);
  }
  check_no_overlap(header.tensors, what);
  return header;
}

}  // namespace corral::io
