#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "io/gguf.h"
#include "model/config.h"
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
  DType dtype = DType::kQ8_0;  // of the matrices; norms and routers stay f32
  std::string name = {};       // general.name
  /// Called as tensors are written: bytes done and in all.
  std::function<void(int64_t done, int64_t total)> progress = nullptr;
};

/// Writes a GGUF v3 file that llama.cpp loads. Matrices whose rows are not whole blocks of the type
/// stay bf16. tokenizer may be null.
void save_gguf(const std::filesystem::path& path, const Config& config, const TextWeights& weights,
               const text::Tokenizer* tokenizer, const GgufOptions& options);

}  // namespace corral::model
