#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kv/batch.h"
#include "model/config.h"

namespace corral::model {

/// Inference-time scaling of the queries of global layers (arXiv:2501.19399):
/// q *= 1 + attn_scale ln(1 + floor((position + 1) / floor_scale)).
struct TemperatureTuning {
  double floor_scale;
  double attn_scale;

  bool operator==(const TemperatureTuning&) const = default;
};

/// How one layer attends. A plain value: the layer obeys it and knows nothing of Scout or Maverick.
struct AttentionSpec {
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  bool rope;     // false on every 4th layer ("NoPE"), which sees the whole sequence
  bool qk_norm;  // RMS norm of each head of q and k after RoPE, without weights; RoPE layers only
  double norm_eps;
  int64_t chunk_size;                            // 0: causal over everything
  std::optional<TemperatureTuning> temperature;  // NoPE layers only

  kv::AttentionSpan span() const { return {chunk_size}; }
  bool operator==(const AttentionSpec&) const = default;
};

/// What one layer is.
struct LayerSpec {
  AttentionSpec attention;
  bool moe;           // routed experts and a shared one; false: a dense MLP
  int64_t mlp_width;  // of an expert, or of the dense MLP
  int64_t experts;    // 0 in dense layers
  int64_t experts_per_token;

  bool operator==(const LayerSpec&) const = default;
};

/// The layers of a (normalised) config: a pure function, so one table test pins all 48 layers of
/// Scout and Maverick. Source: meta-llama/llama-models, models/llama4.
std::vector<LayerSpec> layer_specs(const Config& config);

}  // namespace corral::model
