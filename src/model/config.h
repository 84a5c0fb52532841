#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace corral::model {

/// Llama 3's frequency scaling, as `rope_scaling` of config.json spells it.
struct RopeScalingConfig {
  double factor = 16.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 1.0;
  int64_t original_max_position_embeddings = 8192;

  bool operator==(const RopeScalingConfig&) const = default;
};

/// A Llama 4 text model, in the words of Hugging Face's config.json (`text_config`). Values absent
/// from a file take the defaults of transformers' Llama4TextConfig unless a comment says otherwise.
struct Config {
  int64_t vocab_size = 202048;
  int64_t hidden_size = 5120;
  int64_t num_hidden_layers = 48;
  int64_t num_attention_heads = 40;
  int64_t num_key_value_heads = 8;
  int64_t head_dim = 128;
  int64_t intermediate_size = 8192;       // of a routed or shared expert
  int64_t intermediate_size_mlp = 16384;  // of a dense layer
  int64_t num_local_experts = 16;
  int64_t num_experts_per_tok = 1;
  /// Layer i has experts where (i + 1) % step == 0: 1 in Scout, 2 in Maverick. `moe_layers` wins.
  int64_t interleave_moe_layer_step = 1;
  std::vector<int64_t> moe_layers;  // filled by normalise()
  /// 1 where the layer uses RoPE (Hugging Face's sense), 0 where it is global without positions.
  std::vector<int64_t> no_rope_layers;  // filled by normalise()
  int64_t no_rope_layer_interval = 4;
  std::optional<int64_t> attention_chunk_size = 8192;  // absent: RoPE layers see everything
  bool use_qk_norm = true;
  bool attn_temperature_tuning = true;
  double floor_scale = 8192;
  double attn_scale = 0.1;
  double rms_norm_eps = 1e-5;
  double rope_theta = 500000.0;
  std::optional<RopeScalingConfig> rope_scaling;
  int64_t max_position_embeddings = 131072;
  bool tie_word_embeddings = false;
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;

  /// True for a file of Llama4ForConditionalGeneration: text under `text_config`, tensors under
  /// `language_model.`; false for the flat text-only Llama4ForCausalLM.
  bool multimodal_layout = false;
  /// The parts of config.json that describe the image tower and its token ids, as text; kept so
  /// that a file read and written again loses nothing. Empty when there are none.
  std::string multimodal_json;

  bool operator==(const Config&) const = default;

  bool uses_rope(int64_t layer) const { return no_rope_layers[static_cast<size_t>(layer)] != 0; }
  bool is_moe(int64_t layer) const;

  /// Fills the per-layer lists from the intervals where they are empty and checks every value;
  /// throws UsageError naming the key, its value and what it must be.
  void normalise();
};

/// Reads config.json (either layout, either spelling of the rope values). `name` is for messages.
/// Throws CorruptFile.
Config parse_config(const std::string& text, const std::string& name);

/// The config.json that transformers reads.
std::string config_json(const Config& config);

}  // namespace corral::model
