#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/streamed_file.h"
#include "io/tensor_stream.h"
#include "tensor/tensor.h"

namespace corral::io {

using SafetensorsMetadata = std::map<std::string, std::string>;

/// A tensor to be written, converted to stored_as when that is given.
struct NamedTensor {
  std::string name;
  Tensor tensor;
  std::optional<DType> stored_as = std::nullopt;
};

/// Writes one safetensors file piece by piece: declare all tensors, write their data in the same
/// order, finish. The file appears under its name with finish(); destroyed before, it leaves
/// nothing. Data lies in the order of declaration without gaps, so declare wider types first.
class SafetensorsWriter {
 public:
  /// Throws IoError when the file cannot be created.
  explicit SafetensorsWriter(std::filesystem::path path, SafetensorsMetadata metadata = {});

  /// type_name: what the file calls the type, where bytes are more than numbers ("F8_E4M3" for u8).
  /// Throws NotSupported for block types, else as TensorStream::declare().
  void declare(std::string_view name, DType dtype, const Shape& shape,
               std::string_view type_name = {});
  /// The next tensor whole, or its next rows; see TensorStream::append().
  void write(std::string_view name, const Tensor& part);
  /// True when the data of all declared tensors is written.
  bool complete() const { return stream_.next() == stream_.slots().size(); }
  /// Throws Error when data is missing, IoError when the disk is full.
  void finish();

 private:
  void write_header();

  std::filesystem::path path_;
  SafetensorsMetadata metadata_;
  TensorStream stream_;
  StreamedFile file_;
  bool header_written_ = false;
};

/// The same for a model folder: model.safetensors when everything fits into max_shard_bytes, else
/// model-00001-of-0000N.safetensors, ... and model.safetensors.index.json, written last. A tensor
/// larger than that gets a shard of its own. Creates the folder. A model that was there before is
/// replaced: it stays readable until this one is complete, except where shards of the same names
/// are overwritten, when the folder has no index (and cannot be taken for a model) in between.
/// Destroyed before finish(), it removes what it has written.
class ShardedSafetensorsWriter {
 public:
  /// Throws IoError when the folder cannot be created, UsageError when max_shard_bytes is below 1.
  ShardedSafetensorsWriter(std::filesystem::path folder, int64_t max_shard_bytes,
                           SafetensorsMetadata metadata = {});
  ~ShardedSafetensorsWriter();
  ShardedSafetensorsWriter(const ShardedSafetensorsWriter&) = delete;
  ShardedSafetensorsWriter& operator=(const ShardedSafetensorsWriter&) = delete;

  /// As in SafetensorsWriter.
  void declare(std::string_view name, DType dtype, const Shape& shape,
               std::string_view type_name = {});
  void write(std::string_view name, const Tensor& part);
  void finish();

 private:
  void plan();
  std::string shard_name(size_t shard) const;
  void open_shard();
  void finish_shard();
  void write_index() const;

  std::filesystem::path folder_;
  int64_t max_shard_bytes_;
  SafetensorsMetadata metadata_;
  TensorStream declared_;           // only checks declarations
  std::vector<size_t> shard_ends_;  // the first tensor behind each shard
  std::unique_ptr<SafetensorsWriter> writer_;
  size_t shard_ = 0;  // that writer_ writes
  std::vector<std::filesystem::path> written_;
};

/// Writes one file whole, wider element types first and otherwise in the given order.
void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const SafetensorsMetadata& metadata = {});

inline constexpr int64_t kDefaultShardBytes = 5'000'000'000;

/// Writes a model folder whole, in the given order.
void write_sharded(const std::filesystem::path& folder, const std::vector<NamedTensor>& tensors,
                   int64_t max_shard_bytes = kDefaultShardBytes,
                   const SafetensorsMetadata& metadata = {{"format", "pt"}});

}  // namespace corral::io
