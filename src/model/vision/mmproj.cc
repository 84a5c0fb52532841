#include <vector>

#include "base/error.h"
#include "io/gguf_types.h"
#include "io/gguf_writer.h"
#include "model/gguf_keys.h"
#include "model/vision/vision_checkpoint.h"

namespace corral::model {
namespace {

namespace key = gguf_key;

// Tensors that only this projector has and whose rows say how wide the adapter is.
constexpr const char* kAdapterIn = "mm.model.mlp.1.weight";
constexpr const char* kProjector = "mm.model.fc.weight";

int64_t rows_of(const io::GgufFile& file, const char* name) {
  if (!file.has(name)) throw CorruptFile(str(file.origin(), ": tensor ", name, " is missing"));
  const Shape& shape = file.info(name).shape;
  if (shape.rank() != 2) {
    throw CorruptFile(str(file.origin(), ": tensor ", name, " is ", shape, ", needs 2 axes"));
  }
  return shape[0];
}

void check_kind(const io::GgufFile& file) {
  const std::string architecture = file.get_string(key::kArchitecture);
  if (architecture != key::kClip) {
    throw CorruptFile(str(file.origin(), ": architecture is '", architecture.substr(0, 40),
                          "', an image projector file has clip"));
  }
  // Newer files of several towers name the projector of each.
  const auto projector = file.has_key(key::kClipProjector)
                             ? file.get_string(key::kClipProjector)
                             : file.find_string(key::kClipVisionProjector).value_or("");
  if (projector != key::kLlama4) {
    throw CorruptFile(
        str(file.origin(), ": projector is '", projector.substr(0, 40), "', Corral runs llama4"));
  }
}

DType stored_dtype(const ParameterInfo& info, DType wanted) {
  const bool matrix = info.shape.rank() == 2 && info.role != Role::kEmbedding;
  if (!matrix) return DType::kF32;
  return info.shape[-1] % block_elements(wanted) == 0 ? wanted : DType::kBF16;
}

io::GgufMetadata metadata(const VisionConfig& c, DType dtype, const std::string& name) {
  io::GgufMetadata out;
  out.set_string(key::kArchitecture, key::kClip);
  out.set_string(key::kType, "mmproj");
  out.set_string(key::kName, name);
  out.set_u32(key::kQuantizationVersion, 2);
  out.set_u32(key::kFileType, io::gguf_file_type(dtype));
  out.set_bool(key::kClipHasVision, true);
  out.set_string(key::kClipProjector, key::kLlama4);
  out.set_u32(key::kClipImageSize, c.image_size);
  out.set_u32(key::kClipPatchSize, c.patch_size);
  out.set_u32(key::kClipEmbedding, c.hidden_size);
  out.set_u32(key::kClipFeedForward, c.intermediate_size);
  out.set_u32(key::kClipProjection, c.text_hidden_size);
  out.set_u32(key::kClipBlocks, c.num_hidden_layers);
  out.set_u32(key::kClipHeads, c.num_attention_heads);
  out.set_f32(key::kClipNormEps, static_cast<float>(c.norm_eps));
  out.set_u32(key::kClipScale, c.shuffle());
  out.set_bool(key::kClipUseGelu, true);
  const std::vector<float> half(3, 0.5f);
  out.set_array(key::kClipMean, std::span<const float>(half));
  out.set_array(key::kClipStd, std::span<const float>(half));
  if (c.rope_theta != VisionConfig().rope_theta) out.set_f64(key::kVisionRopeTheta, c.rope_theta);
  return out;
}

}  // namespace

VisionConfig mmproj_config(const io::GgufFile& file, const Config& text) {
  check_kind(file);
  VisionConfig c;
  c.image_size = file.get_uint(key::kClipImageSize);
  c.patch_size = file.get_uint(key::kClipPatchSize);
  c.hidden_size = file.get_uint(key::kClipEmbedding);
  c.intermediate_size = file.get_uint(key::kClipFeedForward);
  c.num_hidden_layers = file.get_uint(key::kClipBlocks);
  c.num_attention_heads = file.get_uint(key::kClipHeads);
  c.norm_eps = file.get_float(key::kClipNormEps);
  const int64_t scale = file.find_uint(key::kClipScale).value_or(2);
  if (scale < 1 || scale > 128) {
    throw CorruptFile(str(file.origin(), ": ", key::kClipScale, " is ", scale, ", needs 1 to 128"));
  }
  c.pixel_shuffle_ratio = 1.0 / static_cast<double>(scale);
  c.rope_theta = file.find_float(key::kVisionRopeTheta).value_or(c.rope_theta);
  c.projector_input_dim = c.projector_output_dim = c.vision_output_dim = rows_of(file, kAdapterIn);
  c.text_hidden_size = text.hidden_size;
  if (rows_of(file, kProjector) != text.hidden_size) {
    throw CorruptFile(str(file.origin(), ": projects images to ", rows_of(file, kProjector),
                          " values, the text model has ", text.hidden_size,
                          ": it belongs to another model"));
  }
  try {
    c.check();
  } catch (const UsageError& error) {
    throw CorruptFile(str(file.origin(), ": ", error.what()));
  }
  return c;
}

VisionWeights mmproj_weights(const io::GgufFile& file, const VisionConfig& config,
                             const DevicePtr& device) {
  return arrange_vision_weights(config, [&](const VisionParameterInfo& info) {
    if (!file.has(info.gguf)) {
      throw CorruptFile(str(file.origin(), ": tensor ", info.gguf, " is missing"));
    }
    const Tensor tensor = file.get(info.gguf, device);
    if (!(tensor.shape() == info.hf.shape)) {
      throw CorruptFile(str(file.origin(), ": tensor ", info.gguf, " is ", tensor.shape(),
                            ", the header's values need ", info.hf.shape));
    }
    return tensor;
  });
}

std::filesystem::path find_mmproj(const std::filesystem::path& model) {
  namespace fs = std::filesystem;
  const fs::path dir = model.has_parent_path() ? model.parent_path() : fs::path(".");
  for (const fs::path& name : {fs::path(str("mmproj-", model.filename().string())),
                               fs::path(str(model.stem().string(), "-mmproj.gguf"))}) {
    std::error_code error;
    if (fs::is_regular_file(dir / name, error)) return dir / name;
  }
  fs::path found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("mmproj") || !name.ends_with(".gguf")) continue;
    if (!found.empty()) return {};
    found = entry.path();
  }
  return found;
}

void save_mmproj(const std::filesystem::path& path, const VisionConfig& config,
                 const std::vector<ExportTensor>& tensors, DType dtype, const std::string& name) {
  io::GgufWriter writer(path, metadata(config, dtype, name));
  const std::vector<VisionParameterInfo> infos = vision_parameter_list(config);
  for (const VisionParameterInfo& info : infos) {
    writer.declare(info.gguf, stored_dtype(info.hf, dtype), info.hf.shape);
  }
  for (size_t i = 0; i < infos.size(); ++i) {
    for (int64_t part = 0; part < tensors[i].parts; ++part) {
      writer.write(infos[i].gguf, tensors[i].make(part));
    }
  }
  writer.finish();
}

}  // namespace corral::model
