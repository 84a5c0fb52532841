#include "model/loaded_model.h"

#include <utility>

#include "base/error.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "text/tokenizer_files.h"

namespace corral::model {
namespace {

std::string name_of(const std::filesystem::path& path) {
  const auto clean = std::filesystem::weakly_canonical(path);
  return clean.extension() == ".gguf" ? clean.stem().string() : clean.filename().string();
}

LoadedModel load_gguf(const std::filesystem::path& path, const DevicePtr& device) {
  const io::GgufFile file(path);
  const Config config = gguf_config(file);
  return {.path = path,
          .format = "gguf",
          .model = TextModel(config, gguf_weights(file, config, device)),
          .tokenizer = gguf_tokenizer(file),
          .name = name_of(path),
          .tensors = file.tensors()};
}

LoadedModel load_hf(const std::filesystem::path& path, const DevicePtr& device) {
  const Config config = read_hf_config(path);
  const auto source = io::open_sharded(path);
  const bool has_tokenizer = std::filesystem::exists(path / "tokenizer.json") ||
                             std::filesystem::exists(path / "tokenizer.model");
  return {.path = path,
          .format = "safetensors",
          .model = TextModel(config, hf_weights(*source, config, device)),
          .tokenizer = has_tokenizer ? text::load_tokenizer_files(path) : nullptr,
          .name = name_of(path),
          .tensors = source->tensors()};
}

}  // namespace

const std::shared_ptr<const text::Tokenizer>& LoadedModel::need_tokenizer() const {
  if (tokenizer) return tokenizer;
  throw Error(str(path.string(), ": the model has no tokenizer: put tokenizer.json beside it"));
}

LoadedModel load_model(const std::filesystem::path& path, const DevicePtr& device) {
  LoadedModel loaded =
      std::filesystem::is_directory(path) ? load_hf(path, device) : load_gguf(path, device);
  const int64_t vocab_size = loaded.model.config().vocab_size;
  if (loaded.tokenizer && loaded.tokenizer->vocab_size() > vocab_size) {
    throw CorruptFile(str(path.string(), ": the tokenizer has ", loaded.tokenizer->vocab_size(),
                          " tokens, the model only ", vocab_size));
  }
  return loaded;
}

}  // namespace corral::model
