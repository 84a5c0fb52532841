#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kv/batch.h"
#include "model/attention.h"
#include "model/config.h"
#include "model/forward.h"
#include "model/layer_spec.h"
#include "model/weights.h"
#include "ops/rope/rope.h"

// Shape letters: T tokens of the flat batch, D hidden_size, V vocabulary.

namespace corral::model {

/// A trainable tensor: a leaf of the tape under its Hugging Face name.
struct NamedParameter {
  std::string name;
  Tensor value;
  Role role;
  bool decay;  // weight decay applies: it has two axes or more
};

/// Llama 4's text model, written once: the same code trains (leaves as weights, no cache) and
/// serves (views of mapped files as weights, a KV cache). Safe to use from several threads when no
/// weight is a leaf.
class TextModel {
 public:
  /// For inference: weights wherever they lie.
  TextModel(Config config, TextWeights weights);
  /// For training: f32 tensors in Hugging Face form, in the order of parameter_list(config).
  static TextModel trainable(const Config& config, const std::vector<Tensor>& tensors);

  const Config& config() const { return config_; }
  const std::vector<LayerSpec>& layers() const { return specs_; }
  const TextWeights& weights() const { return weights_; }
  /// Empty unless made trainable.
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  const DevicePtr& device() const { return weights_.embedding.device(); }

  /// The last layer's output after the final norm, [T, D]. With a cache, the batch's keys and
  /// values are appended to it (prepare() before and commit() after are done here).
  Tensor hidden(const kv::Batch& batch, const ForwardOptions& options = {}) const;
  /// The same of some rows, ascending, [N, D]: with a cache, and nobody watching, the last layer is
  /// computed for them alone (but for the keys and values of all rows). The same bits.
  Tensor hidden_of(const kv::Batch& batch, std::span<const int64_t> rows,
                   const ForwardOptions& options) const;

  /// Next-token logits [n, V] f32 of hidden states [n, D].
  Tensor logits(const Tensor& hidden_ND, const ForwardOptions& options = {}) const;

  /// The KV cache layout of this model.
  kv::KvLayout kv_layout(kv::KvTypes types = {}) const;

 private:
  /// hidden() of the rows that are wanted; null: of all.
  Tensor run(const kv::Batch& batch, const ForwardOptions& options, const WantedRows* wanted) const;
  Tensor block(const Tensor& x_TD, int64_t layer, const kv::Batch& batch,
               const ForwardOptions& options, bool again, const WantedRows* wanted) const;

  Config config_;
  std::vector<LayerSpec> specs_;
  TextWeights weights_;
  ops::RopeFrequencies rope_;
  std::vector<NamedParameter> parameters_;
};

}  // namespace corral::model
