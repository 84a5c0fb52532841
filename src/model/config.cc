#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "model/config_reader.h"

namespace corral::model {
namespace {

using Json = nlohmann::json;
using Reader = ConfigReader;

void read_rope(const Reader& text, Config& config) {
  text.read("rope_theta", config.rope_theta);
  // transformers 4 writes rope_scaling, 5 writes rope_parameters with theta inside.
  const char* key = text.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!text.has(key)) return;
  const Json& json = text.object().at(key);
  if (!json.is_object()) throw CorruptFile(str(text.name(), ": ", key, " is not an object"));
  const Reader rope(json, text.name());
  rope.read("rope_theta", config.rope_theta);
  const char* type_key = json.contains("rope_type") ? "rope_type" : "type";
  const Json type = json.value(type_key, Json("default"));
  if (type == "default") return;
  if (type != "llama3") {
    throw CorruptFile(str(text.name(), ": ", key, " has type ", type.dump(), ", needs \"llama3\""));
  }
  RopeScalingConfig scaling;
  rope.read("factor", scaling.factor);
  rope.read("low_freq_factor", scaling.low_freq_factor);
  rope.read("high_freq_factor", scaling.high_freq_factor);
  rope.read("original_max_position_embeddings", scaling.original_max_position_embeddings);
  config.rope_scaling = scaling;
}

void read_text(const Reader& text, Config& c) {
  text.read("vocab_size", c.vocab_size);
  text.read("hidden_size", c.hidden_size);
  text.read("num_hidden_layers", c.num_hidden_layers);
  text.read("num_attention_heads", c.num_attention_heads);
  text.read("num_key_value_heads", c.num_key_value_heads);
  text.read("head_dim", c.head_dim);
  text.read("intermediate_size", c.intermediate_size);
  text.read("intermediate_size_mlp", c.intermediate_size_mlp);
  text.read("num_local_experts", c.num_local_experts);
  text.read("num_experts_per_tok", c.num_experts_per_tok);
  text.read("interleave_moe_layer_step", c.interleave_moe_layer_step);
  text.read("moe_layers", c.moe_layers);
  text.read("no_rope_layers", c.no_rope_layers);
  text.read("no_rope_layer_interval", c.no_rope_layer_interval);
  if (text.object().contains("attention_chunk_size")) {
    c.attention_chunk_size.reset();
    if (text.has("attention_chunk_size")) {
      int64_t size = 0;
      text.read("attention_chunk_size", size);
      c.attention_chunk_size = size;
    }
  }
  text.read("use_qk_norm", c.use_qk_norm);
  text.read("attn_temperature_tuning", c.attn_temperature_tuning);
  text.read("floor_scale", c.floor_scale);
  text.read("attn_scale", c.attn_scale);
  text.read("rms_norm_eps", c.rms_norm_eps);
  text.read("max_position_embeddings", c.max_position_embeddings);
  text.read("tie_word_embeddings", c.tie_word_embeddings);
  if (text.has("bos_token_id")) {
    int64_t id = 0;
    text.read("bos_token_id", id);
    c.bos_token_id = id;
  }
  text.read_one_or_more("eos_token_id", c.eos_token_ids);
  bool attention_bias = false;
  text.read("attention_bias", attention_bias);
  if (attention_bias)
    throw CorruptFile(str(text.name(), ": attention_bias is not part of Llama 4"));
  read_rope(text, c);
}

void check_layers(const Config& c) {
  const auto layers = static_cast<size_t>(c.num_hidden_layers);
  need(c.no_rope_layers.size() == layers, "no_rope_layers", c.no_rope_layers.size(),
       "one entry a layer");
  for (const int64_t uses_rope : c.no_rope_layers) {
    need(uses_rope == 0 || uses_rope == 1, "no_rope_layers", uses_rope, "0 or 1");
  }
  need(c.moe_layers.size() <= layers, "moe_layers", c.moe_layers.size(),
       "at most one entry a layer");
  for (const int64_t layer : c.moe_layers) {
    need(layer >= 0 && layer < c.num_hidden_layers, "moe_layers", layer, "a layer of the model");
  }
}

// Quantized weights are recognised by their tensors; what cannot be read is refused here.
void check_quantization(const Json& json, const std::string& name) {
  if (!json.contains("quantization_config") || json["quantization_config"].is_null()) return;
  const Json& quantization = json["quantization_config"];
  const Json method =
      quantization.is_object() ? quantization.value("quant_method", Json()) : Json();
  if (method == "compressed-tensors" || method == "fbgemm_fp8") return;
  throw NotSupported(str(name, ": weights quantized by ",
                         method.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 60),
                         "; Corral reads compressed-tensors and fbgemm_fp8"));
}

}  // namespace

bool Config::is_moe(int64_t layer) const {
  return std::find(moe_layers.begin(), moe_layers.end(), layer) != moe_layers.end();
}

void Config::normalise() {
  need_dimension("vocab_size", vocab_size);
  need_dimension("hidden_size", hidden_size);
  need(num_hidden_layers >= 1 && num_hidden_layers <= kMaxLayers, "num_hidden_layers",
       num_hidden_layers, "1 to 4096");
  need_dimension("num_attention_heads", num_attention_heads);
  need_dimension("num_key_value_heads", num_key_value_heads);
  need(num_attention_heads % num_key_value_heads == 0, "num_attention_heads", num_attention_heads,
       "a multiple of num_key_value_heads");
  need(head_dim >= 2 && head_dim <= 1024 && head_dim % 2 == 0, "head_dim", head_dim,
       "an even number up to 1024");
  need(num_attention_heads * head_dim <= kMaxDimension, "num_attention_heads", num_attention_heads,
       "fewer than 2^24 / head_dim");
  need_dimension("intermediate_size", intermediate_size);
  need_dimension("intermediate_size_mlp", intermediate_size_mlp);
  need(num_local_experts >= 1 && num_local_experts <= 65536, "num_local_experts", num_local_experts,
       "1 to 65536");
  need(num_experts_per_tok >= 1 && num_experts_per_tok <= num_local_experts, "num_experts_per_tok",
       num_experts_per_tok, "1 to num_local_experts");
  need(interleave_moe_layer_step >= 0, "interleave_moe_layer_step", interleave_moe_layer_step,
       "0 (no experts) or more");
  need(no_rope_layer_interval >= 0, "no_rope_layer_interval", no_rope_layer_interval,
       "0 (RoPE everywhere) or more");
  if (attention_chunk_size) {
    need(*attention_chunk_size >= 1 && *attention_chunk_size <= (int64_t{1} << 40),
         "attention_chunk_size", *attention_chunk_size, "1 or more, or null");
  }
  need(rms_norm_eps > 0 && rms_norm_eps < 1, "rms_norm_eps", rms_norm_eps, "between 0 and 1");
  need(rope_theta > 1 && std::isfinite(rope_theta), "rope_theta", rope_theta, "more than 1");
  need(floor_scale >= 1, "floor_scale", floor_scale, "1 or more");
  need(attn_scale >= 0, "attn_scale", attn_scale, "0 or more");
  need(max_position_embeddings >= 1 && max_position_embeddings <= (int64_t{1} << 40),
       "max_position_embeddings", max_position_embeddings, "1 to 2^40");
  if (rope_scaling) {
    need(rope_scaling->factor > 0, "rope_scaling.factor", rope_scaling->factor, "more than 0");
    need(rope_scaling->low_freq_factor > 0 &&
             rope_scaling->high_freq_factor >= rope_scaling->low_freq_factor,
         "rope_scaling.high_freq_factor", rope_scaling->high_freq_factor,
         "low_freq_factor or more, both above 0");
    need(rope_scaling->original_max_position_embeddings >= 1,
         "rope_scaling.original_max_position_embeddings",
         rope_scaling->original_max_position_embeddings, "1 or more");
  }
  if (no_rope_layers.empty()) {
    for (int64_t i = 0; i < num_hidden_layers; ++i) {
      no_rope_layers.push_back(no_rope_layer_interval == 0 ||
                               (i + 1) % no_rope_layer_interval != 0);
    }
  }
  if (moe_layers.empty() && interleave_moe_layer_step > 0) {
    const int64_t step = interleave_moe_layer_step;
    for (int64_t i = step - 1; i < num_hidden_layers; i += step) moe_layers.push_back(i);
  }
  check_layers(*this);
}

Config parse_config(const std::string& text, const std::string& name) {
  const Json json = parse_json(text, name);
  if (!json.is_object()) throw CorruptFile(str(name, ": not a JSON object"));
  check_quantization(json, name);
  const std::string type = json.contains("model_type") && json["model_type"].is_string()
                               ? json["model_type"].get<std::string>()
                               : "";
  if (type != "llama4" && type != "llama4_text") {
    throw CorruptFile(
        str(name, ": model_type is '", type.substr(0, 40), "', needs llama4 or llama4_text"));
  }
  Config config;
  config.multimodal_layout = type == "llama4";
  if (config.multimodal_layout) {
    if (!json.contains("text_config") || !json["text_config"].is_object()) {
      throw CorruptFile(str(name, ": text_config is missing"));
    }
    Reader(json, name).read("tie_word_embeddings", config.tie_word_embeddings);
    read_text(Reader(json["text_config"], name), config);
    Json rest = Json::object();
    for (const char* key :
         {"vision_config", "boi_token_index", "eoi_token_index", "image_token_index"}) {
      if (json.contains(key)) rest[key] = json[key];
    }
    if (!rest.empty()) config.multimodal_json = rest.dump();
  } else {
    read_text(Reader(json, name), config);
  }
  try {
    config.normalise();
  } catch (const UsageError& error) {
    throw CorruptFile(str(name, ": ", error.what()));
  }
  return config;
}

std::string config_json(const Config& c) {
  using Ordered = nlohmann::ordered_json;
  Ordered text;
  text["model_type"] = "llama4_text";
  text["attention_bias"] = false;
  text["attention_chunk_size"] =
      c.attention_chunk_size ? Ordered(*c.attention_chunk_size) : Ordered(nullptr);
  text["attention_dropout"] = 0.0;
  text["attn_scale"] = c.attn_scale;
  text["attn_temperature_tuning"] = c.attn_temperature_tuning;
  text["bos_token_id"] = c.bos_token_id ? Ordered(*c.bos_token_id) : Ordered(nullptr);
  if (c.eos_token_ids.size() == 1) {
    text["eos_token_id"] = c.eos_token_ids[0];
  } else {
    text["eos_token_id"] = c.eos_token_ids.empty() ? Ordered(nullptr) : Ordered(c.eos_token_ids);
  }
  // A whole number where it is one: transformers declares it so.
  text["floor_scale"] = c.floor_scale == std::floor(c.floor_scale) && c.floor_scale < 0x1p53
                            ? Ordered(static_cast<int64_t>(c.floor_scale))
                            : Ordered(c.floor_scale);
  text["head_dim"] = c.head_dim;
  text["hidden_act"] = "silu";
  text["hidden_size"] = c.hidden_size;
  text["initializer_range"] = 0.02;
  text["interleave_moe_layer_step"] = c.interleave_moe_layer_step;
  text["intermediate_size"] = c.intermediate_size;
  text["intermediate_size_mlp"] = c.intermediate_size_mlp;
  Ordered types = Ordered::array();
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    types.push_back(c.uses_rope(i) && c.attention_chunk_size ? "chunked_attention"
                                                             : "full_attention");
  }
  text["layer_types"] = types;
  text["max_position_embeddings"] = c.max_position_embeddings;
  text["moe_layers"] = c.moe_layers;
  text["no_rope_layer_interval"] = c.no_rope_layer_interval;
  text["no_rope_layers"] = c.no_rope_layers;
  text["num_attention_heads"] = c.num_attention_heads;
  text["num_experts_per_tok"] = c.num_experts_per_tok;
  text["num_hidden_layers"] = c.num_hidden_layers;
  text["num_key_value_heads"] = c.num_key_value_heads;
  text["num_local_experts"] = c.num_local_experts;
  text["rms_norm_eps"] = c.rms_norm_eps;
  text["rope_theta"] = c.rope_theta;
  if (c.rope_scaling) {
    text["rope_scaling"] = {
        {"factor", c.rope_scaling->factor},
        {"high_freq_factor", c.rope_scaling->high_freq_factor},
        {"low_freq_factor", c.rope_scaling->low_freq_factor},
        {"original_max_position_embeddings", c.rope_scaling->original_max_position_embeddings},
        {"rope_type", "llama3"}};
  } else {
    text["rope_scaling"] = nullptr;
  }
  text["use_cache"] = true;
  text["use_qk_norm"] = c.use_qk_norm;
  text["vocab_size"] = c.vocab_size;
  text["tie_word_embeddings"] = c.tie_word_embeddings;

  Ordered json;
  if (c.multimodal_layout) {
    json["architectures"] = {"Llama4ForConditionalGeneration"};
    json["model_type"] = "llama4";
    if (!c.multimodal_json.empty()) {
      json.update(Ordered::parse(c.multimodal_json));
    }
    json["text_config"] = text;
    json["tie_word_embeddings"] = c.tie_word_embeddings;
  } else {
    json["architectures"] = {"Llama4ForCausalLM"};
    json.update(text);
  }
  json["transformers_version"] = "4.52.0";
  return json.dump(2) + "\n";
}

}  // namespace corral::model
