#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/weight_source.h"
#include "model/text_model.h"
#include "model/vision/vision_tower.h"
#include "text/tokenizer.h"

namespace corral::model {

/// A model opened for use: mapped weights, config and, if the files have one, the tokenizer.
struct LoadedModel {
  std::filesystem::path path;
  std::string format;  // "gguf", "safetensors" or "meta"
  TextModel model;
  std::shared_ptr<const text::Tokenizer> tokenizer;  // null when the files hold none
  std::shared_ptr<const VisionTower> vision;         // null when the model does not see
  std::string name;                                  // what to call it
  std::vector<io::TensorInfo> tensors;               // as the files list them

  /// The tokenizer; throws Error saying what is missing when there is none.
  const std::shared_ptr<const text::Tokenizer>& need_tokenizer() const;
  /// The image tower; throws UsageError saying what is missing when there is none.
  const std::shared_ptr<const VisionTower>& need_vision() const;
};

/// Opens a GGUF file, a Hugging Face directory or one of Meta's, touching only headers (several
/// parts of a native checkpoint are merged in memory). The image tower of a GGUF model is in a file
/// of its own: `mmproj`, or, when that is empty, the one that find_mmproj finds and that fits.
/// Throws IoError, CorruptFile.
LoadedModel load_model(const std::filesystem::path& path, const DevicePtr& device,
                       const std::filesystem::path& mmproj = {});

}  // namespace corral::model
