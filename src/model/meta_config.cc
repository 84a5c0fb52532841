#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/meta_checkpoint.h"

namespace corral::model {
namespace {

constexpr int64_t kMaxParamsBytes = int64_t{1} << 20;
constexpr int64_t kLlama4Vocabulary = 202048;
constexpr double kMaxNumber = 0x1p53;

// Values of one object of params.json; absent and null ones take the default of the reference's
// ModelArgs.
class Params {
 public:
  Params(const Json& json, const std::string& name) : json_(json), name_(name) {}

  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  double number(const char* key, std::optional<double> fallback = std::nullopt) const {
    if (!has(key) && fallback) return *fallback;
    if (!has(key)) throw CorruptFile(str(name_, ": ", key, " is missing"));
    const Json& value = json_.at(key);
    if (!value.is_number() || !(std::abs(value.get<double>()) < kMaxNumber)) {
      throw CorruptFile(str(name_, ": ", key, " is no number of usual size"));
    }
    return value.get<double>();
  }
  int64_t integer(const char* key, std::optional<int64_t> fallback = std::nullopt) const {
    const double value = fallback ? number(key, static_cast<double>(*fallback)) : number(key);
    if (value != std::floor(value)) throw CorruptFile(str(name_, ": ", key, " is no whole number"));
    return static_cast<int64_t>(value);
  }
  bool flag(const char* key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!json_.at(key).is_boolean()) throw CorruptFile(str(name_, ": ", key, " is no truth value"));
    return json_.at(key).get<bool>();
  }
  std::optional<Params> object(const char* key) const {
    if (!has(key)) return std::nullopt;
    if (!json_.at(key).is_object()) throw CorruptFile(str(name_, ": ", key, " is no object"));
    return Params(json_.at(key), name_);
  }
  const std::string& name() const { return name_; }

 private:
  const Json& json_;
  const std::string& name_;
};

int64_t whole(const Params& params, double value) {
  if (!(value >= 0 && value < kMaxNumber)) {
    throw CorruptFile(str(params.name(), ": dim, ffn_exp and ffn_dim_multiplier give no width"));
  }
  return static_cast<int64_t>(value);
}

int64_t rounded_up(const Params& params, int64_t width) {
  const int64_t multiple = params.integer("multiple_of", 256);
  if (multiple < 1) throw CorruptFile(str(params.name(), ": multiple_of is ", multiple));
  return (width + multiple - 1) / multiple * multiple;
}

// The widths of Transformer and MoE in the reference: two thirds of the usual width, because a
// gated MLP has three matrices; the routed and the shared expert share it.
void read_widths(const Params& params, Config& c) {
  const double multiplier = params.number("ffn_dim_multiplier", 1.0);
  const auto dim = static_cast<double>(c.hidden_size);
  const auto dense = static_cast<double>(whole(params, multiplier * std::floor(2 * (4 * dim) / 3)));
  c.intermediate_size_mlp = rounded_up(params, static_cast<int64_t>(dense));
  const auto moe = params.object("moe_args");
  if (!moe) return;
  const double expanded = std::floor(params.number("ffn_exp", 4.0) * dim);
  auto width = static_cast<double>(whole(params, multiplier * std::floor(2 * expanded / 3)));
  if (moe->flag("auto_scale_F", true)) {
    width = static_cast<double>(whole(params, width / (moe->number("capacity_factor", 1.0) + 1)));
  }
  c.intermediate_size = rounded_up(params, static_cast<int64_t>(width));
}

void read_experts(const Params& params, Config& c) {
  const auto moe = params.object("moe_args");
  if (!moe) {
    c.num_local_experts = 1;
    c.interleave_moe_layer_step = 0;
    return;
  }
  c.num_local_experts = moe->integer("num_experts");
  c.num_experts_per_tok = moe->integer("top_k", 1);
  c.interleave_moe_layer_step = moe->integer("interleave_moe_layer_step", 1);
}

void read_attention(const Params& params, Config& c) {
  c.num_attention_heads = params.integer("n_heads");
  c.num_key_value_heads = params.integer("n_kv_heads", c.num_attention_heads);
  const int64_t even_share = c.num_attention_heads > 0 ? c.hidden_size / c.num_attention_heads : 0;
  c.head_dim = params.integer("head_dim", even_share);
  c.attention_chunk_size.reset();
  if (params.has("attention_chunk_size")) {
    c.attention_chunk_size = params.integer("attention_chunk_size");
  }
  c.no_rope_layer_interval = params.integer("nope_layer_interval", 0);
  c.use_qk_norm = params.flag("use_qk_norm", false);
  c.attn_temperature_tuning = params.flag("attn_temperature_tuning", false);
  c.floor_scale = params.number("floor_scale", 8192);
  c.attn_scale = params.number("attn_scale", 0.1);
  c.rope_theta = params.number("rope_theta", 500000);
  if (params.flag("use_scaled_rope", false)) {
    RopeScalingConfig scaling;
    scaling.factor = params.number("rope_scaling_factor", 16);
    scaling.high_freq_factor = params.number("rope_high_freq_factor", 1);
    c.rope_scaling = scaling;
  }
}

// vision_args as Hugging Face's vision_config.
Json vision_config(const Params& vision, int64_t hidden_size) {
  const auto square = [&](const char* key) {
    const auto size = vision.object(key);
    if (!size || size->integer("height") != size->integer("width")) {
      throw CorruptFile(str(vision.name(), ": vision_args.", key, " is no square"));
    }
    return size->integer("height");
  };
  const int64_t dim = vision.integer("dim");
  const int64_t output = vision.integer("output_dim");
  return {
      {"model_type", "llama4_vision_model"},
      {"hidden_act", "gelu"},
      {"hidden_size", dim},
      {"image_size", square("image_size")},
      {"patch_size", square("patch_size")},
      {"intermediate_size", whole(vision, vision.number("mlp_ratio") * static_cast<double>(dim))},
      {"num_hidden_layers", vision.integer("n_layers")},
      {"num_attention_heads", vision.integer("n_heads")},
      {"num_channels", 3},
      {"norm_eps", 1e-5},
      {"rope_theta", 10000},
      {"pixel_shuffle_ratio", vision.number("pixel_shuffle_ratio", 0.5)},
      {"vision_output_dim", output},
      {"projector_input_dim", output},
      {"projector_output_dim", hidden_size},
      {"multi_modal_projector_bias", false},
      {"vision_feature_select_strategy", "default"},
      {"vision_feature_layer", -1}};
}

// params.json names no token; those of Llama 4's tokenizer are fixed.
void add_token_ids(Config& c, Json& multimodal) {
  if (c.vocab_size != kLlama4Vocabulary) return;
  c.bos_token_id = 200000;
  c.eos_token_ids = {200001, 200007, 200008};
  if (multimodal.empty()) return;
  multimodal["boi_token_index"] = 200080;
  multimodal["eoi_token_index"] = 200081;
  multimodal["image_token_index"] = 200092;
}

}  // namespace

Config parse_meta_config(const std::string& text, const std::string& name) {
  const Json json = parse_json(text, name);
  if (!json.is_object()) throw CorruptFile(str(name, ": not a JSON object"));
  const Params params(json, name);
  Config config;
  config.multimodal_layout = true;
  config.hidden_size = params.integer("dim");
  config.num_hidden_layers = params.integer("n_layers");
  config.vocab_size = params.integer("vocab_size");
  config.rms_norm_eps = params.number("norm_eps", 1e-5);
  read_attention(params, config);
  read_experts(params, config);
  read_widths(params, config);
  // What Meta says of the two models; no parameter tells.
  config.max_position_embeddings = config.rope_scaling ? 10485760 : 1048576;
  Json multimodal = Json::object();
  if (const auto vision = params.object("vision_args")) {
    multimodal["vision_config"] = vision_config(*vision, config.hidden_size);
  }
  add_token_ids(config, multimodal);
  if (!multimodal.empty()) config.multimodal_json = multimodal.dump();
  try {
    config.normalise();
  } catch (const UsageError& error) {
    throw CorruptFile(str(name, ": ", error.what()));
  }
  return config;
}

Config read_meta_config(const std::filesystem::path& dir) {
  const auto path = dir / "params.json";
  return parse_meta_config(read_file(path, kMaxParamsBytes), path.string());
}

}  // namespace corral::model
