#include "model/presets.h"

#include "base/error.h"

namespace corral::model {
namespace {

Config scout() {
  Config c;  // Config's defaults are Scout's text model
  c.rope_scaling = RopeScalingConfig{};
  c.max_position_embeddings = 10485760;
  c.bos_token_id = 200000;
  c.eos_token_ids = {200001, 200007, 200008};
  return c;
}

Config maverick() {
  Config c = scout();
  c.num_local_experts = 128;
  c.interleave_moe_layer_step = 2;
  c.use_qk_norm = false;
  c.attn_temperature_tuning = false;
  c.rope_scaling.reset();
  c.max_position_embeddings = 1048576;
  return c;
}

// Meta published only the totals: 288 billion active parameters, 16 experts, about 2 trillion in
// all. The dimensions are ours: three times Scout's hidden size and heads, an expert in every
// layer, and an expert width (1.59 times the hidden size; Scout's is 1.6) that gives 288.2 billion
// active and 1.98 trillion in total.
Config behemoth() {
  Config c = scout();
  c.hidden_size = 15360;
  c.num_attention_heads = 120;
  c.num_key_value_heads = 24;
  c.intermediate_size = 24448;
  c.intermediate_size_mlp = 48896;
  c.num_hidden_layers = 100;
  c.max_position_embeddings = 1048576;
  return c;
}

// The image tower that Scout and Maverick share; Meta said nothing of Behemoth's.
VisionConfig tower(const Config& text) {
  VisionConfig c;
  c.hidden_size = 1408;
  c.image_size = 336;
  c.vision_output_dim = 4096;
  c.text_hidden_size = text.hidden_size;
  c.check();
  return c;
}

// The miniatures keep every ratio of their originals (hidden size 160 s, expert width 1.6 and dense
// width 3.2 times it, five query heads a key-value head, every fourth layer global), with chunks
// and vocabulary short enough to be seen in training on a small machine.
Config mini(int64_t hidden, int64_t layers) {
  Config c;
  c.vocab_size = 4096;
  c.hidden_size = hidden;
  c.num_hidden_layers = layers;
  c.num_attention_heads = hidden / 32;
  c.num_key_value_heads = hidden / 160;
  c.head_dim = 32;
  c.intermediate_size = hidden * 8 / 5;
  c.intermediate_size_mlp = hidden * 16 / 5;
  c.attention_chunk_size = 128;
  c.floor_scale = 128;
  c.rope_theta = 10000;
  c.max_position_embeddings = 4096;
  return c;
}

Config maverick_mini() {
  Config c = mini(160, 8);
  c.num_local_experts = 64;
  c.interleave_moe_layer_step = 2;
  c.use_qk_norm = false;
  return c;
}

Config tiny() {
  Config c = mini(160, 4);
  c.hidden_size = 80;
  c.num_attention_heads = 5;
  c.num_key_value_heads = 1;
  c.head_dim = 16;
  c.intermediate_size = 128;
  c.intermediate_size_mlp = 256;
  c.num_local_experts = 8;
  c.attention_chunk_size = 32;
  c.floor_scale = 32;
  c.vocab_size = 1024;
  return c;
}

}  // namespace

std::vector<Preset> presets() {
  std::vector<Preset> all = {
      {"scout", "Llama 4 Scout, 17B active of 109B, 16 experts", scout(), tower(scout())},
      {"maverick", "Llama 4 Maverick, 17B active of 400B, 128 experts", maverick(),
       tower(maverick())},
      {"behemoth", "288B active of about 2T, 16 experts; dimensions are ours", behemoth(), {}},
      {"scout-mini", "Scout's proportions at hidden size 160", mini(160, 8), {}},
      {"maverick-mini", "Maverick's proportions at hidden size 160", maverick_mini(), {}},
      {"behemoth-mini", "the teacher of the miniatures, hidden size 320", mini(320, 8), {}},
      {"tiny", "for tests: hidden size 80, four layers", tiny(), {}},
  };
  for (Preset& preset : all) preset.config.normalise();
  return all;
}

Preset find_preset(std::string_view name) {
  std::string known;
  for (const Preset& preset : presets()) {
    if (preset.name == name) return preset;
    known += (known.empty() ? "" : ", ") + preset.name;
  }
  throw UsageError(str("preset '", name, "' is unknown: use one of ", known));
}

}  // namespace corral::model
