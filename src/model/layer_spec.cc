#include "model/layer_spec.h"

namespace corral::model {

std::vector<LayerSpec> layer_specs(const Config& c) {
  std::vector<LayerSpec> layers;
  layers.reserve(static_cast<size_t>(c.num_hidden_layers));
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const bool rope = c.uses_rope(i);
    const bool moe = c.is_moe(i);
    AttentionSpec attention{.heads = c.num_attention_heads,
                            .kv_heads = c.num_key_value_heads,
                            .head_dim = c.head_dim,
                            .rope = rope,
                            .qk_norm = rope && c.use_qk_norm,
                            .norm_eps = c.rms_norm_eps,
                            .chunk_size = rope ? c.attention_chunk_size.value_or(0) : 0,
                            .temperature = std::nullopt};
    if (!rope && c.attn_temperature_tuning) {
      attention.temperature = TemperatureTuning{c.floor_scale, c.attn_scale};
    }
    layers.push_back({.attention = attention,
                      .moe = moe,
                      .mlp_width = moe ? c.intermediate_size : c.intermediate_size_mlp,
                      .experts = moe ? c.num_local_experts : 0,
                      .experts_per_token = moe ? c.num_experts_per_tok : 0});
  }
  return layers;
}

}  // namespace corral::model
