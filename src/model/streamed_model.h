#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/export.h"
#include "model/loaded_model.h"
#include "model/quantize.h"

namespace corral::model {

/// A model opened to be written in another form: its tensors are read when their turn comes. Unlike
/// a LoadedModel it never holds more than a matrix in memory, also where the slices of several
/// parts have to be merged.
class StreamedModel {
 public:
  /// As load_model().
  StreamedModel(const std::filesystem::path& path, const DevicePtr& device,
                const std::filesystem::path& mmproj = {});

  /// With the description of the image tower, which a GGUF text model may lack.
  const Config& config() const { return config_; }
  const std::string& name() const { return name_; }
  const text::Tokenizer* tokenizer() const { return tokenizer_.get(); }
  const std::optional<VisionConfig>& vision() const { return vision_; }
  /// The image tower's tensors under their Hugging Face names. There must be one. The model must
  /// outlive the list.
  std::vector<ExportTensor> tower() const;

  /// The lists of export.h; Hugging Face's with the image tower. The model must outlive them. With
  /// coding, throws NotSupported when the experts are codes already.
  std::vector<ExportTensor> hf(ExpertCoding coding) const;
  std::vector<ExportTensor> gguf() const;

  /// Gives back the memory of what was read so far.
  void forget_pages() const { source_->forget_pages(); }

 private:
  DevicePtr device_;
  std::optional<LoadedModel> loaded_;  // empty: straight from the source
  std::shared_ptr<const io::WeightSource> source_;
  Config config_;
  std::string name_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::optional<VisionConfig> vision_;
};

}  // namespace corral::model
