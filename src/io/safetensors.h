#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "io/safetensors_header.h"
#include "io/weight_source.h"

namespace corral::io {

/// One safetensors file.
class SafetensorsFile final : public WeightSource {
 public:
  /// Throws IoError when the file cannot be mapped, CorruptFile when it is not what it should be.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// The strings under __metadata__.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  void forget_pages() const override { file_->forget_pages(); }

 private:
  SafetensorsFile(std::shared_ptr<const MappedFile> file, SafetensorsHeader header);
  explicit SafetensorsFile(const std::shared_ptr<const MappedFile>& file);
  Tensor read(size_t index, const DevicePtr& device) const override;

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, std::string> metadata_;
};

/// The weights of a Hugging Face model folder: model.safetensors, or the shards that
/// model.safetensors.index.json names (model.safetensors wins when both exist). All headers are
/// read at once. Throws IoError when there is neither or a shard is missing, CorruptFile when a
/// tensor is in two shards or the index names one that its shard has not, and what SafetensorsFile
/// throws.
std::unique_ptr<WeightSource> open_sharded(const std::filesystem::path& folder);

inline constexpr const char* kSafetensorsName = "model.safetensors";
inline constexpr const char* kSafetensorsIndexName = "model.safetensors.index.json";

}  // namespace corral::io
