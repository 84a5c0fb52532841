#include "model/feed_forward.h"

#include <utility>

#include "ops/balance_loss/balance_loss.h"
#include "ops/combine/combine.h"
#include "ops/dispatch/dispatch.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "ops/swiglu/swiglu.h"

namespace corral::model {
namespace {

// Rows are sorted by expert; offsets say where each expert's begin.
Tensor expert_mlps(const Tensor& x_ND, const MlpWeights& weights, const ops::Routing& routing,
                   const ForwardOptions& options) {
  const auto& offsets_E = routing.offsets_E;
  show_input(options, {&weights.gate, &weights.up}, x_ND, offsets_E);
  const Tensor h_NF =
      ops::grouped_swiglu(x_ND, weights.gate, weights.up, offsets_E, options.precision);
  show_input(options, {&weights.down}, h_NF, offsets_E);
  return ops::grouped_linear(h_NF, weights.down, offsets_E, options.precision);
}

}  // namespace

Tensor mlp(const Tensor& x_TD, const MlpWeights& weights, const ForwardOptions& options) {
  show_input(options, {&weights.gate, &weights.up}, x_TD);
  const Tensor h_TF = ops::swiglu(x_TD, weights.gate, weights.up, options.precision);
  show_input(options, {&weights.down}, h_TF);
  return ops::linear(h_TF, weights.down, options.precision);
}

Tensor mixture_of_experts(const Tensor& x_TD, const LayerSpec& spec, const MoeWeights& weights,
                          int64_t layer, const ForwardOptions& options, bool again) {
  // Which expert a token gets is a step function of the logits: they are never rounded to bf16.
  show_input(options, {&weights.router}, x_TD);
  Tensor logits_TE = ops::linear(x_TD, weights.router, quant::Precision::kF32);
  const ops::Routing routing = ops::route_top_k(logits_TE, spec.experts_per_token);
  if (options.observer != nullptr && !again) options.observer->routed(layer, logits_TE, routing);
  if (options.balance != nullptr) {
    const auto load_E = options.balance->load_fractions(layer, routing, again);
    logits_TE = ops::balance_loss(logits_TE, load_E, options.balance->coefficient(),
                                  options.balance->global_tokens());
  }
  const Tensor rows_ND = ops::dispatch(x_TD, logits_TE, routing);
  Tensor shared_TD = mlp(x_TD, weights.shared, options);
  return ops::combine(std::move(shared_TD), expert_mlps(rows_ND, weights.experts, routing, options),
                      routing);
}

}  // namespace corral::model
