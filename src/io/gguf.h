#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf_header.h"
#include "io/weight_source.h"

namespace corral::io {

/// A GGUF file, version 2 or 3, or a model split over several of them (docs/formats/gguf.md).
/// Shapes are ours, outermost axis first: what ggml calls [columns, rows, experts] is [experts,
/// rows, columns] here.
///
/// Metadata getters come in pairs: find_x() is empty when the key is absent, get_x() throws
/// CorruptFile then. Both throw CorruptFile, naming file and key, when the value has another type
/// or does not fit. Strings are views into the file and live as long as this object.
class GgufFile final : public WeightSource {
 public:
  /// Reads the header. Any part of a split model (NAME-00001-of-00003.gguf) opens all of it: the
  /// metadata is that of the first part, the tensors are those of all. Throws IoError naming a part
  /// that is missing, CorruptFile, and NotSupported for what Corral does not read: big-endian files
  /// and other versions.
  explicit GgufFile(const std::filesystem::path& path);

  void forget_pages() const override {
    for (const auto& file : files_) file->forget_pages();
  }

  int64_t version() const { return version_; }
  int64_t alignment_bytes() const { return alignment_bytes_; }
  /// "Q8_0", from general.file_type; empty when the file does not say.
  std::string file_type_name() const;

  /// All entries in the order of the file.
  const std::vector<GgufEntry>& metadata() const { return metadata_; }
  bool has_key(std::string_view key) const { return find_entry(key) != nullptr; }
  const GgufEntry* find_entry(std::string_view key) const;

  /// A string, which must be UTF-8.
  std::optional<std::string> find_string(std::string_view key) const;
  std::string get_string(std::string_view key) const;
  /// Any integer type; the value must be 0 to 2^63 - 1.
  std::optional<int64_t> find_uint(std::string_view key) const;
  int64_t get_uint(std::string_view key) const;
  /// Any integer type; the value must fit an int64_t.
  std::optional<int64_t> find_int(std::string_view key) const;
  int64_t get_int(std::string_view key) const;
  /// f32 or f64; finite.
  std::optional<double> find_float(std::string_view key) const;
  double get_float(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  bool get_bool(std::string_view key) const;

  /// Arrays of at most kMaxArrayValues values. Strings may hold any bytes (tokens of some models
  /// are not UTF-8). Integers of any integer type, fitting an int64_t. Booleans read as integers 0
  /// and 1.
  static constexpr int64_t kMaxArrayValues = int64_t{1} << 23;
  std::optional<std::vector<std::string_view>> find_strings(std::string_view key) const;
  std::vector<std::string_view> get_strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> find_ints(std::string_view key) const;
  std::vector<int64_t> get_ints(std::string_view key) const;
  std::optional<std::vector<float>> find_floats(std::string_view key) const;
  std::vector<float> get_floats(std::string_view key) const;

 private:
  struct Part {
    std::shared_ptr<const MappedFile> file;
    GgufHeader header;
  };
  static Part open_part(const std::filesystem::path& path);
  static std::vector<Part> open_parts(const std::filesystem::path& path);
  static std::vector<TensorInfo> tensors_of(const std::vector<Part>& parts);
  explicit GgufFile(std::vector<Part> parts);
  Tensor read(size_t index, const DevicePtr& device) const override;
  const GgufEntry* find_array(std::string_view key) const;
  [[noreturn]] void fail_missing(std::string_view key) const;
  [[noreturn]] void fail_value(const GgufEntry& entry, const std::string& needs) const;
  template <class T>
  T required(std::optional<T> value, std::string_view key) const;

  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<size_t> file_of_;  // of each tensor
  int64_t version_;
  int64_t alignment_bytes_;
  std::vector<GgufEntry> metadata_;
};

}  // namespace corral::io
