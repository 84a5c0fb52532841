#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kv/kv_cache.h"
#include "ops/route/route.h"
#include "quant/linear_weight.h"
#include "tensor/tensor.h"

namespace corral::model {

/// Sees the values that flow through a forward pass (corral debug logits --trace).
class Observer {
 public:
  virtual ~Observer() = default;
  /// name: "embed", "layer<i>.attn_norm", "layer<i>.attn_out", "layer<i>.ffn_norm",
  /// "layer<i>.ffn_out", "layer<i>.out", "final_norm"; x [T, D].
  virtual void activation(const std::string& name, const Tensor& x) = 0;
  /// logits [T, E] of the router of a MoE layer, and what it chose.
  virtual void routed(int64_t layer, const Tensor& logits_TE, const ops::Routing& routing) = 0;
};

/// Sees the rows that each weight is multiplied with (corral calibrate).
class InputObserver {
 public:
  virtual ~InputObserver() = default;
  /// x [N, K] meets all of these weights of K inputs, which are those of TextModel::weights(). Rows
  /// for stacks of experts are sorted by expert: those of expert e begin at offsets_E[e].
  virtual void input(std::span<const quant::LinearWeight* const> weights, const Tensor& x_NK,
                     std::span<const int64_t> offsets_E) = 0;
};

/// Keeps the experts evenly used in training: counts what the router chose and tells how full each
/// expert is, from which the router's gradient of the auxiliary loss follows (ops/balance_loss).
class LoadBalance {
 public:
  virtual ~LoadBalance() = default;
  /// Adds the choices of one micro-batch; `again` when the layer is recomputed in the backward pass
  /// and the choices were counted before. Returns the share of the global batch so far that each
  /// expert of this layer received, [E], in sum 1.
  virtual std::span<const double> load_fractions(int64_t layer, const ops::Routing& routing,
                                                 bool again) = 0;
  /// Weight of the auxiliary loss, and the tokens of the global batch.
  virtual double coefficient() const = 0;
  virtual int64_t global_tokens() const = 0;
};

/// How a forward pass runs. All pointers are borrowed.
struct ForwardOptions {
  kv::KvCache* cache = nullptr;  // null: the batch holds whole sequences (training, scoring)
  quant::Precision precision = quant::Precision::kF32;
  bool recompute = false;  // keep only each layer's input for the backward pass
  Observer* observer = nullptr;
  InputObserver* inputs = nullptr;
  LoadBalance* balance = nullptr;
};

/// Shows the observer, if there is one, what the weights are about to be multiplied with.
inline void show_input(const ForwardOptions& options,
                       std::initializer_list<const quant::LinearWeight*> weights,
                       const Tensor& x_NK, std::span<const int64_t> offsets_E = {}) {
  if (options.inputs == nullptr) return;
  options.inputs->input({weights.begin(), weights.size()}, x_NK, offsets_E);
}

}  // namespace corral::model
