#pragma once

#include "model/forward.h"
#include "model/layer_spec.h"
#include "model/weights.h"

namespace corral::model {

/// A gated MLP: x [T, D] -> down(silu(gate x) * up x) [T, D].
Tensor mlp(const Tensor& x_TD, const MlpWeights& weights, const ForwardOptions& options);

/// Mixture of experts: x [T, D] -> shared(x) + sum over the chosen experts e of expert_e(s_e x),
/// where s = sigmoid(router logit): the score scales the expert's input, not its output. No
/// capacity, no token is dropped. `again`: see autograd::Recomputable. Source:
/// meta-llama/llama-models, models/llama4/moe.py.
Tensor mixture_of_experts(const Tensor& x_TD, const LayerSpec& spec, const MoeWeights& weights,
                          int64_t layer, const ForwardOptions& options, bool again);

}  // namespace corral::model
