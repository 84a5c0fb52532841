#include "model/attention.h"

#include <cmath>
#include <tuple>
#include <utility>

#include "ops/attention/attention.h"
#include "ops/attention/paged_attention.h"
#include "ops/attention_temperature/attention_temperature.h"
#include "ops/linear/linear.h"
#include "ops/rms_norm/rms_norm.h"

namespace corral::model {

std::optional<ops::RopeScaling> rope_scaling(const Config& config) {
  if (!config.rope_scaling) return std::nullopt;
  const RopeScalingConfig& s = *config.rope_scaling;
  return ops::RopeScaling{static_cast<float>(s.factor), static_cast<float>(s.low_freq_factor),
                          static_cast<float>(s.high_freq_factor),
                          s.original_max_position_embeddings};
}

Tensor attention(const Tensor& x_TD, const AttentionSpec& spec, const AttentionWeights& weights,
                 const ops::RopeFrequencies& rope, const kv::Batch& batch, int64_t layer,
                 const ForwardOptions& options) {
  const int64_t T = x_TD.dim(0);
  const int64_t C = spec.head_dim;
  show_input(options, {&weights.q, &weights.k, &weights.v}, x_TD);
  auto [q, k, v] = ops::linear(x_TD, {weights.q, weights.k, weights.v}, options.precision);
  Tensor q_THC = std::move(q).view({T, spec.heads, C});
  Tensor k_TKC = std::move(k).view({T, spec.kv_heads, C});
  const Tensor v_TKC = std::move(v).view({T, spec.kv_heads, C});

  if (spec.rope) {
    // Inside a chunk only differences of positions count, so they are taken modulo the chunk: the
    // same scores, and exact at ten million tokens.
    std::tie(q_THC, k_TKC) =
        ops::rope(std::move(q_THC), std::move(k_TKC), batch.positions, rope, spec.chunk_size);
  }
  if (spec.qk_norm) {
    const auto eps = static_cast<float>(spec.norm_eps);
    q_THC = ops::rms_norm(std::move(q_THC), nullptr, eps);
    k_TKC = ops::rms_norm(std::move(k_TKC), nullptr, eps);
  }
  if (spec.temperature) {
    q_THC = ops::attention_temperature(std::move(q_THC), batch.positions,
                                       static_cast<float>(spec.temperature->attn_scale),
                                       static_cast<float>(spec.temperature->floor_scale));
  }

  const float scale = 1.0f / std::sqrt(static_cast<float>(C));
  // Training keeps this call's keys and values on the tape; serving writes and reads cache pages.
  Tensor o_THC = options.cache == nullptr
                     ? ops::attention(q_THC, k_TKC, v_TKC, batch, spec.span(), scale)
                     : ops::paged_attention(q_THC, k_TKC, v_TKC, options.cache->layer(layer), batch,
                                            spec.span(), scale);
  const Tensor o_TD = std::move(o_THC).view({T, spec.heads * C});
  show_input(options, {&weights.o}, o_TD);
  return ops::linear(o_TD, weights.o, options.precision);
}

}  // namespace corral::model
