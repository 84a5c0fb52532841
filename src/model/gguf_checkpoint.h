#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "io/gguf.h"
#include "model/config.h"
#include "model/export.h"
#include "model/importance.h"
#include "model/type_mix.h"
#include "model/weights.h"
#include "text/tokenizer.h"

namespace corral::model {

/// The config of a `llama4` GGUF file: Corral's own keys where the file has them, else what
/// llama.cpp builds in (chunks of 8192, temperature floor 8192, every fourth layer without RoPE, QK
/// norm unless there are 128 experts). docs/formats/gguf.md lists the keys. Throws CorruptFile.
Config gguf_config(const io::GgufFile& file);

/// The weights as views of the file.
TextWeights gguf_weights(const io::GgufFile& file, const Config& config, const DevicePtr& device);

/// The tokenizer in the file's metadata; null when there is none. Throws CorruptFile, NotSupported.
std::shared_ptr<const text::Tokenizer> gguf_tokenizer(const io::GgufFile& file);

/// How a GGUF file is written.
struct GgufOptions {
  DType dtype = DType::kQ8_0;       // of the matrices; norms and routers stay f32
  std::optional<TypeMix> mix = {};  // types by role, instead of dtype
  std::string name = {};            // general.name
  /// Of the columns, for block types; borrowed, and of this model. Null: all columns alike.
  const Importance* importance = nullptr;
  ExportProgress progress = nullptr;
  /// Called with a line for each type that does not fit some tensors (model/type_mix.h).
  std::function<void(const std::string& line)> note = nullptr;
};

/// Writes a GGUF v3 file that llama.cpp loads, tensor by tensor and expert by expert: memory holds
/// one matrix at a time. The tensors are those of gguf_tensors(). tokenizer may be null.
void save_gguf(const std::filesystem::path& path, const Config& config,
               const std::vector<ExportTensor>& tensors, const text::Tokenizer* tokenizer,
               const GgufOptions& options);
/// The same from weights.
void save_gguf(const std::filesystem::path& path, const Config& config, const TextWeights& weights,
               const text::Tokenizer* tokenizer, const GgufOptions& options);

}  // namespace corral::model
