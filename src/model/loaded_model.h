#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/weight_source.h"
#include "model/text_model.h"
#include "text/tokenizer.h"

namespace corral::model {

/// A model opened for use: mapped weights, config and, if the files have one, the tokenizer.
struct LoadedModel {
  std::filesystem::path path;
  std::string format;  // "gguf" or "safetensors"
  TextModel model;
  std::shared_ptr<const text::Tokenizer> tokenizer;  // null when the files hold none
  std::string name;                                  // what to call it
  std::vector<io::TensorInfo> tensors;               // as the files list them

  /// The tokenizer; throws Error saying what is missing when there is none.
  const std::shared_ptr<const text::Tokenizer>& need_tokenizer() const;
};

/// Opens a GGUF file or a Hugging Face directory, touching only headers. Throws IoError,
/// CorruptFile.
LoadedModel load_model(const std::filesystem::path& path, const DevicePtr& device);

}  // namespace corral::model
