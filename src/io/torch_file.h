#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/weight_source.h"

namespace corral::io {

/// A file that torch.save wrote: a zip archive with a pickled state dict and one entry a storage
/// (docs/formats/meta.md). Opening reads the directory and the pickle and runs nothing (pickle.h).
/// get() maps tensors that lie row by row and copies those that do not (transposed views).
class TorchFile final : public WeightSource {
 public:
  /// Throws IoError, CorruptFile, and NotSupported for what only running Python could read and for
  /// files older than torch 1.6, which are no archives.
  explicit TorchFile(const std::filesystem::path& path);

  void forget_pages() const override { file_->forget_pages(); }

 private:
  struct Contents {
    std::vector<TensorInfo> tensors;
    std::vector<std::vector<int64_t>> strides;  // of each tensor; empty: row by row
  };
  static Contents read_contents(const MappedFile& file);
  explicit TorchFile(const std::shared_ptr<const MappedFile>& file);
  TorchFile(std::shared_ptr<const MappedFile> file, Contents contents);
  Tensor read(size_t index, const DevicePtr& device) const override;

  std::shared_ptr<const MappedFile> file_;
  std::vector<std::vector<int64_t>> strides_;
};

}  // namespace corral::io
