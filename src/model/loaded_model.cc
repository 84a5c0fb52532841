#include "model/loaded_model.h"

#include <utility>

#include "base/error.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/gguf_checkpoint.h"
#include "model/hf_checkpoint.h"
#include "model/meta_checkpoint.h"
#include "model/vision/vision_checkpoint.h"
#include "text/tokenizer_files.h"

namespace corral::model {
namespace {

std::string name_of(const std::filesystem::path& path) {
  const auto clean = std::filesystem::weakly_canonical(path);
  return clean.extension() == ".gguf" ? clean.stem().string() : clean.filename().string();
}

std::shared_ptr<const VisionTower> load_mmproj(const std::filesystem::path& path,
                                               const Config& text, const text::Tokenizer* tokenizer,
                                               const DevicePtr& device) {
  const io::GgufFile file(path);
  VisionConfig config = mmproj_config(file, text);
  // The text model's own description knows the token; else the vocabulary does.
  const auto described = vision_config(text, path.string());
  const auto patch = tokenizer != nullptr ? tokenizer->special_id(text::special::kPatch)
                                          : std::optional<text::TokenId>();
  if (described) {
    config.image_token = described->image_token;
  } else if (patch) {
    config.image_token = *patch;
  }
  return std::make_shared<VisionTower>(config, mmproj_weights(file, config, device));
}

// The projector file that was asked for, or one that lies beside the model and fits it.
std::shared_ptr<const VisionTower> find_vision(const LoadedModel& loaded,
                                               const std::filesystem::path& mmproj,
                                               const DevicePtr& device) {
  const Config& text = loaded.model.config();
  if (!mmproj.empty()) return load_mmproj(mmproj, text, loaded.tokenizer.get(), device);
  const std::filesystem::path found = find_mmproj(loaded.path);
  if (found.empty()) return nullptr;
  try {
    return load_mmproj(found, text, loaded.tokenizer.get(), device);
  } catch (const Error&) {
    return nullptr;  // nobody asked for it: text works without
  }
}

LoadedModel load_gguf(const std::filesystem::path& path, const DevicePtr& device) {
  auto source = std::make_shared<const io::GgufFile>(path);
  const io::GgufFile& file = *source;
  const Config config = gguf_config(file);
  return {.path = path,
          .format = "gguf",
          .model = TextModel(config, gguf_weights(file, config, device)),
          .tokenizer = gguf_tokenizer(file),
          .vision = nullptr,
          .name = name_of(path),
          .source = std::move(source)};
}

LoadedModel load_folder(const std::filesystem::path& path, const DevicePtr& device) {
  OpenedFolder folder = open_folder(path);
  std::shared_ptr<const VisionTower> tower;
  if (folder.vision) {
    tower = std::make_shared<VisionTower>(
        *folder.vision, hf_vision_weights(*folder.source, *folder.vision, device));
  }
  return {.path = path,
          .format = folder.format,
          .model = TextModel(folder.config, hf_weights(*folder.source, folder.config, device)),
          .tokenizer = folder.tokenizer,
          .vision = tower,
          .name = folder.name,
          .source = folder.source};
}

void check_vocabulary(const std::filesystem::path& path, const text::Tokenizer* tokenizer,
                      const Config& config) {
  if (tokenizer != nullptr && tokenizer->vocab_size() > config.vocab_size) {
    throw CorruptFile(str(path.string(), ": the tokenizer has ", tokenizer->vocab_size(),
                          " tokens, the model only ", config.vocab_size));
  }
}

}  // namespace

const std::shared_ptr<const text::Tokenizer>& LoadedModel::need_tokenizer() const {
  if (tokenizer) return tokenizer;
  throw Error(str(path.string(), ": the model has no tokenizer: put tokenizer.json beside it"));
}

const std::shared_ptr<const VisionTower>& LoadedModel::need_vision() const {
  if (vision) return vision;
  throw UsageError(str(path.string(), ": the model does not see images: ",
                       format == "gguf" ? "name its projector file with --mmproj"
                                        : "its checkpoint has no image tower"));
}

LoadedModel load_model(const std::filesystem::path& path, const DevicePtr& device,
                       const std::filesystem::path& mmproj) {
  const bool folder = std::filesystem::is_directory(path);
  if (folder && !mmproj.empty()) {
    throw UsageError(
        str(path.string(), ": a folder has its own image tower: --mmproj is for GGUF"));
  }
  LoadedModel loaded = folder ? load_folder(path, device) : load_gguf(path, device);
  if (!folder) loaded.vision = find_vision(loaded, mmproj, device);
  check_vocabulary(path, loaded.tokenizer.get(), loaded.model.config());
  return loaded;
}

OpenedFolder open_folder(const std::filesystem::path& path) {
  const bool meta = is_meta_checkpoint(path);
  OpenedFolder folder;
  folder.format = meta ? "meta" : "safetensors";
  folder.config = meta ? read_meta_config(path) : read_hf_config(path);
  folder.source = meta ? open_meta_checkpoint(path, folder.config) : io::open_sharded(path);
  folder.name = name_of(path);
  // params.json names no image token, and only Llama 4's own vocabulary has a known one.
  const bool sees =
      !meta || folder.config.multimodal_json.find("image_token_index") != std::string::npos;
  if (sees) {
    folder.vision =
        vision_config(folder.config, (path / (meta ? "params.json" : "config.json")).string());
  }
  // A text model made from a multimodal one may keep the description without the tower.
  if (folder.vision && !folder.source->has(vision_parameter_list(*folder.vision).front().hf.name)) {
    folder.vision.reset();
  }
  if (std::filesystem::exists(path / "tokenizer.json") ||
      std::filesystem::exists(path / "tokenizer.model")) {
    folder.tokenizer = text::load_tokenizer_files(path);
  }
  check_vocabulary(path, folder.tokenizer.get(), folder.config);
  return folder;
}

}  // namespace corral::model
