#pragma once

#include <filesystem>
#include <memory>
#include <optional>
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
  std::shared_ptr<const io::WeightSource> source;    // the text model's files

  /// The tokenizer; throws Error saying what is missing when there is none.
  const std::shared_ptr<const text::Tokenizer>& need_tokenizer() const;
  /// The image tower; throws UsageError saying what is missing when there is none.
  const std::shared_ptr<const VisionTower>& need_vision() const;
};

/// What load_model() takes of a Hugging Face directory or one of Meta's before it arranges weights:
/// the same model under the same names.
struct OpenedFolder {
  std::string format;  // "safetensors" or "meta"
  Config config;
  std::shared_ptr<const io::WeightSource> source;
  std::optional<VisionConfig> vision;                // when the files have an image tower
  std::shared_ptr<const text::Tokenizer> tokenizer;  // null when they have none
  std::string name;
};

/// Reads headers only. Throws IoError, CorruptFile.
OpenedFolder open_folder(const std::filesystem::path& path);

/// Opens a GGUF file, a Hugging Face directory or one of Meta's, touching only headers (several
/// parts of a native checkpoint are merged in memory). The image tower of a GGUF model is in a file
/// of its own: `mmproj`, or, when that is empty, the one that find_mmproj finds and that fits.
/// Throws IoError, CorruptFile.
LoadedModel load_model(const std::filesystem::path& path, const DevicePtr& device,
                       const std::filesystem::path& mmproj = {});

}  // namespace corral::model
