#include "model/feed_forward.h"

#include <array>
#include <span>
#include <utility>

#include "ops/balance_loss/balance_loss.h"
#include "ops/combine/combine.h"
#include "ops/dispatch/dispatch.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/linear/linear.h"
#include "ops/swiglu/swiglu.h"

namespace corral::model {

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

  // Rows are sorted by expert; offsets say where each expert's begin. The shared expert, to which
  // all go, is multiplied with them.
  const MlpWeights& shared = weights.shared;
  const MlpWeights& experts = weights.experts;
  const std::span<const int64_t> groups = routing.offsets_E;
  const std::array<int64_t, 2> all = {0, x_TD.dim(0)};
  show_input(options, {&shared.gate, &shared.up}, x_TD);
  show_input(options, {&experts.gate, &experts.up}, rows_ND, groups);
  const auto [shared_TF, experts_NF] = ops::grouped_swiglu(
      {{x_TD, shared.gate, shared.up, all}, {rows_ND, experts.gate, experts.up, groups}},
      options.precision);
  show_input(options, {&shared.down}, shared_TF);
  show_input(options, {&experts.down}, experts_NF, groups);
  auto [shared_TD, experts_ND] = ops::grouped_linear(
      {{shared_TF, shared.down, all}, {experts_NF, experts.down, groups}}, options.precision);
  return ops::combine(std::move(shared_TD), experts_ND, routing);
}

}  // namespace corral::model
