#include "model/vision/vision_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "model/config_reader.h"

namespace corral::model {
namespace {

using Json = nlohmann::json;

constexpr int64_t kDefaultImageStart = 200080;
constexpr int64_t kDefaultImageEnd = 200081;

VisionConfig read(const Json& json, const std::string& name) {
  const ConfigReader top(json, name);
  const ConfigReader vision(json["vision_config"], name);
  VisionConfig c;
  vision.read("hidden_size", c.hidden_size);
  vision.read("num_hidden_layers", c.num_hidden_layers);
  vision.read("num_attention_heads", c.num_attention_heads);
  vision.read("intermediate_size", c.intermediate_size);
  vision.read("num_channels", c.num_channels);
  vision.read("image_size", c.image_size);
  vision.read("patch_size", c.patch_size);
  vision.read("projector_input_dim", c.projector_input_dim);
  vision.read("projector_output_dim", c.projector_output_dim);
  vision.read("vision_output_dim", c.vision_output_dim);
  vision.read("norm_eps", c.norm_eps);
  vision.read("rope_theta", c.rope_theta);
  vision.read("pixel_shuffle_ratio", c.pixel_shuffle_ratio);
  top.read("image_token_index", c.image_token);
  bool projector_bias = false;
  vision.read("multi_modal_projector_bias", projector_bias);
  if (projector_bias) {
    throw CorruptFile(str(name, ": multi_modal_projector_bias is not part of Llama 4"));
  }
  const Json activation = json["vision_config"].value("hidden_act", Json("gelu"));
  if (activation != "gelu") {
    throw CorruptFile(str(name, ": hidden_act of vision_config is ",
                          activation.dump().substr(0, 40), ", needs \"gelu\""));
  }
  return c;
}

}  // namespace

int64_t VisionConfig::shuffle() const {
  return static_cast<int64_t>(std::llround(1.0 / pixel_shuffle_ratio));
}

void VisionConfig::check() const {
  need_dimension("vision_config.hidden_size", hidden_size);
  need(num_hidden_layers >= 1 && num_hidden_layers <= kMaxLayers, "vision_config.num_hidden_layers",
       num_hidden_layers, "1 to 4096");
  need_dimension("vision_config.num_attention_heads", num_attention_heads);
  need(hidden_size % num_attention_heads == 0 && head_dim() % 4 == 0 && head_dim() <= 1024,
       "vision_config.hidden_size", hidden_size, "heads of a multiple of 4, up to 1024");
  need_dimension("vision_config.intermediate_size", intermediate_size);
  need(num_channels == 3, "vision_config.num_channels", num_channels, "3");
  need(image_size >= 1 && image_size <= 4096, "vision_config.image_size", image_size, "1 to 4096");
  need(patch_size >= 1 && image_size % patch_size == 0, "vision_config.patch_size", patch_size,
       "a divisor of image_size");
  need(grid() <= 128, "vision_config.patch_size", patch_size, "at most 128 patches along a side");
  need(pixel_shuffle_ratio >= 1.0 / 128 && pixel_shuffle_ratio <= 1 &&
           std::abs(pixel_shuffle_ratio * static_cast<double>(shuffle()) - 1.0) < 1e-6,
       "vision_config.pixel_shuffle_ratio", pixel_shuffle_ratio, "1 / a whole number");
  need(grid() % shuffle() == 0, "vision_config.pixel_shuffle_ratio", pixel_shuffle_ratio,
       "one that divides the patches along a side");
  // Hugging Face uses the one number for both.
  need(intermediate_size == hidden_size * shuffle() * shuffle(), "vision_config.intermediate_size",
       intermediate_size, "hidden_size / pixel_shuffle_ratio^2");
  need_dimension("vision_config.projector_input_dim", projector_input_dim);
  need(projector_output_dim == projector_input_dim, "vision_config.projector_output_dim",
       projector_output_dim, "projector_input_dim");
  need(vision_output_dim == projector_output_dim, "vision_config.vision_output_dim",
       vision_output_dim, "projector_output_dim");
  need(norm_eps > 0 && norm_eps < 1, "vision_config.norm_eps", norm_eps, "between 0 and 1");
  need(rope_theta > 1 && std::isfinite(rope_theta), "vision_config.rope_theta", rope_theta,
       "more than 1");
  need_dimension("text_config.hidden_size", text_hidden_size);
  need(image_token >= 0 && image_token < kMaxDimension, "image_token_index", image_token,
       "a token id");
}

std::optional<VisionConfig> vision_config(const Config& config, const std::string& name) {
  if (config.multimodal_json.empty()) return std::nullopt;
  const Json json = parse_json(config.multimodal_json, name);
  if (!json.is_object() || !json.contains("vision_config")) return std::nullopt;
  if (!json["vision_config"].is_object()) {
    throw CorruptFile(str(name, ": vision_config is not an object"));
  }
  VisionConfig vision = read(json, name);
  vision.text_hidden_size = config.hidden_size;
  try {
    vision.check();
    need(vision.image_token < config.vocab_size, "image_token_index", vision.image_token,
         "an id of the vocabulary");
  } catch (const UsageError& error) {
    throw CorruptFile(str(name, ": ", error.what()));
  }
  return vision;
}

void set_vision_config(Config& config, const VisionConfig& vision) {
  Json json = config.multimodal_json.empty() ? Json::object() : Json::parse(config.multimodal_json);
  json["vision_config"] = {{"model_type", "llama4_vision_model"},
                           {"attention_dropout", 0.0},
                           {"hidden_act", "gelu"},
                           {"hidden_size", vision.hidden_size},
                           {"image_size", vision.image_size},
                           {"initializer_range", 0.02},
                           {"intermediate_size", vision.intermediate_size},
                           {"multi_modal_projector_bias", false},
                           {"norm_eps", vision.norm_eps},
                           {"num_attention_heads", vision.num_attention_heads},
                           {"num_channels", vision.num_channels},
                           {"num_hidden_layers", vision.num_hidden_layers},
                           {"patch_size", vision.patch_size},
                           {"pixel_shuffle_ratio", vision.pixel_shuffle_ratio},
                           {"projector_dropout", 0.0},
                           {"projector_input_dim", vision.projector_input_dim},
                           {"projector_output_dim", vision.projector_output_dim},
                           {"rope_theta", vision.rope_theta},
                           {"vision_feature_layer", -1},
                           {"vision_feature_select_strategy", "default"},
                           {"vision_output_dim", vision.vision_output_dim}};
  json["image_token_index"] = vision.image_token;
  if (!json.contains("boi_token_index")) json["boi_token_index"] = kDefaultImageStart;
  if (!json.contains("eoi_token_index")) json["eoi_token_index"] = kDefaultImageEnd;
  config.multimodal_json = json.dump();
  config.multimodal_layout = true;
}

}  // namespace corral::model
