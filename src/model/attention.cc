#include "model/attention.h"

#include <array>
#include <cmath>
#include <tuple>
#include <utility>

#include "ops/attention/attention.h"
#include "ops/attention/paged_attention.h"
#include "ops/attention_temperature/attention_temperature.h"
#include "ops/linear/linear.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/select_rows/select_rows.h"

namespace corral::model {

std::optional<ops::RopeScaling> rope_scaling(const Config& config) {
  if (!config.rope_scaling) return std::nullopt;
  const RopeScalingConfig& s = *config.rope_scaling;
  return ops::RopeScaling{static_cast<float>(s.factor), static_cast<float>(s.low_freq_factor),
                          static_cast<float>(s.high_freq_factor),
                          s.original_max_position_embeddings};
}

namespace {

/// Queries [N, H C], keys and values [T, K C].
std::array<Tensor, 3> projected(const Tensor& x_TD, const AttentionWeights& weights,
                                const ForwardOptions& options, const WantedRows* wanted) {
  show_input(options, {&weights.q, &weights.k, &weights.v}, x_TD);
  if (wanted == nullptr) {
    return ops::linear(x_TD, {weights.q, weights.k, weights.v}, options.precision);
  }
  auto [k, v] = ops::linear(x_TD, {weights.k, weights.v}, options.precision);
  return {ops::linear(wanted->of(x_TD), weights.q, options.precision), std::move(k), std::move(v)};
}

}  // namespace

Tensor WantedRows::of(const Tensor& x_TD) const { return ops::select_rows(x_TD, {}, rows); }

Tensor attention(const Tensor& x_TD, const AttentionSpec& spec, const AttentionWeights& weights,
                 const ops::RopeFrequencies& rope, const kv::Batch& batch, int64_t layer,
                 const ForwardOptions& options, const WantedRows* wanted) {
  const kv::Batch& queries = wanted == nullptr ? batch : wanted->batch;
  const int64_t T = x_TD.dim(0);
  const int64_t N = queries.size();
  const int64_t C = spec.head_dim;
  auto [q, k, v] = projected(x_TD, weights, options, wanted);
  Tensor q_NHC = std::move(q).view({N, spec.heads, C});
  Tensor k_TKC = std::move(k).view({T, spec.kv_heads, C});
  const Tensor v_TKC = std::move(v).view({T, spec.kv_heads, C});

  if (spec.rope) {
    // Inside a chunk only differences of positions count, so they are taken modulo the chunk: the
    // same scores, and exact at ten million tokens.
    if (wanted == nullptr) {
      std::tie(q_NHC, k_TKC) =
          ops::rope(std::move(q_NHC), std::move(k_TKC), batch.positions, rope, spec.chunk_size);
    } else {
      q_NHC = ops::rope(std::move(q_NHC), queries.positions, rope, spec.chunk_size);
      k_TKC = ops::rope(std::move(k_TKC), batch.positions, rope, spec.chunk_size);
    }
  }
  if (spec.qk_norm) {
    const auto eps = static_cast<float>(spec.norm_eps);
    q_NHC = ops::rms_norm(std::move(q_NHC), nullptr, eps);
    k_TKC = ops::rms_norm(std::move(k_TKC), nullptr, eps);
  }
  if (spec.temperature) {
    q_NHC = ops::attention_temperature(std::move(q_NHC), queries.positions,
                                       static_cast<float>(spec.temperature->attn_scale),
                                       static_cast<float>(spec.temperature->floor_scale));
  }

  const float scale = 1.0f / std::sqrt(static_cast<float>(C));
  // Training keeps this call's keys and values on the tape; serving writes and reads cache pages.
  Tensor o_NHC =
      options.cache == nullptr
          ? ops::attention(q_NHC, k_TKC, v_TKC, batch, spec.span(), scale)
          : ops::paged_attention(q_NHC, k_TKC, v_TKC, options.cache->layer(layer), batch,
                                 spec.span(), scale, wanted == nullptr ? nullptr : &queries);
  const Tensor o_ND = std::move(o_NHC).view({N, spec.heads * C});
  show_input(options, {&weights.o}, o_ND);
  return ops::linear(o_ND, weights.o, options.precision);
}

}  // namespace corral::model
