#include "model/text_model.h"

#include <numeric>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "model/attention.h"
#include "model/feed_forward.h"
#include "ops/add/add.h"
#include "ops/embedding/embedding.h"
#include "ops/linear/linear.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/select_rows/select_rows.h"

namespace corral::model {
namespace {

void observe(const ForwardOptions& options, bool again, const std::string& place, const char* name,
             const Tensor& x) {
  if (options.observer != nullptr && !again) options.observer->activation(place + name, x);
}

// Early fusion: image vectors take the places of their placeholders.
Tensor fuse(const Tensor& x_TD, const kv::Batch& batch) {
  if (batch.vector_rows.empty()) return x_TD;
  const int64_t T = x_TD.dim(0);
  const Shape wanted = {static_cast<int64_t>(batch.vector_rows.size()), x_TD.dim(1)};
  if (!batch.vectors.defined() || !(batch.vectors.shape() == wanted)) {
    throw ShapeError(str("batch: vectors for ", wanted[0], " rows are ", batch.vectors.shape(),
                         ", needs ", wanted));
  }
  std::vector<int64_t> rows(static_cast<size_t>(T));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  for (size_t i = 0; i < batch.vector_rows.size(); ++i) {
    const int64_t row = batch.vector_rows[i];
    if (row < 0 || row >= T) throw UsageError(str("batch: a vector for row ", row, " of ", T));
    rows[static_cast<size_t>(row)] = T + static_cast<int64_t>(i);
  }
  return ops::select_rows(x_TD, batch.vectors, rows);
}

ops::RopeFrequencies rope_of(const Config& config, const TextWeights& weights) {
  if (weights.rope_divisors.defined()) {
    return ops::rope_frequencies(config.head_dim, config.rope_theta,
                                 weights.rope_divisors.values<float>());
  }
  return ops::rope_frequencies(config.head_dim, config.rope_theta, rope_scaling(config));
}

}  // namespace

Tensor TextModel::hidden(const kv::Batch& batch, const ForwardOptions& options) const {
  return run(batch, options, nullptr);
}

Tensor TextModel::hidden_of(const kv::Batch& batch, std::span<const int64_t> rows,
                            const ForwardOptions& options) const {
  const WantedRows wanted = {{rows.begin(), rows.end()}, batch.of_rows(rows)};
  if (wanted.batch.size() == batch.size()) return hidden(batch, options);
  const bool watched = options.observer != nullptr || options.inputs != nullptr;
  if (options.cache != nullptr && !watched) return run(batch, options, &wanted);
  return wanted.of(hidden(batch, options));
}

Tensor TextModel::run(const kv::Batch& batch, const ForwardOptions& options,
                      const WantedRows* wanted) const {
  if (options.cache != nullptr) options.cache->prepare(batch);
  Tensor x_TD = fuse(ops::embedding(batch.tokens, weights_.embedding), batch);
  observe(options, false, "", "embed", x_TD);
  for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    const bool last = layer + 1 == config_.num_hidden_layers;
    const auto run_block = [this, layer, &batch, options, of = last ? wanted : nullptr](
                               const Tensor& x, bool again) {
      return block(x, layer, batch, options, again, of);
    };
    x_TD = options.recompute ? autograd::checkpoint(run_block, x_TD) : run_block(x_TD, false);
  }
  x_TD = ops::rms_norm(std::move(x_TD), &weights_.final_norm,
                       static_cast<float>(config_.rms_norm_eps));
  observe(options, false, "", "final_norm", x_TD);
  if (options.cache != nullptr) options.cache->commit(batch);
  return x_TD;
}

Tensor TextModel::block(const Tensor& x_TD, int64_t layer, const kv::Batch& batch,
                        const ForwardOptions& options, bool again, const WantedRows* wanted) const {
  const LayerSpec& spec = specs_[static_cast<size_t>(layer)];
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const std::string name = options.observer != nullptr ? str("layer", layer) : "";

  const Tensor attention_in_TD = ops::rms_norm(x_TD, &weights.attention_norm, eps);
  observe(options, again, name, ".attn_norm", attention_in_TD);
  Tensor attention_TD = attention(attention_in_TD, spec.attention, weights.attention, rope_, batch,
                                  layer, options, wanted);
  observe(options, again, name, ".attn_out", attention_TD);
  if (wanted != nullptr && wanted->rows.empty()) return attention_TD;  // of no rows, as all else
  const Tensor h_TD =
      ops::add(std::move(attention_TD), wanted == nullptr ? x_TD : wanted->of(x_TD));

  const Tensor ffn_in_TD = ops::rms_norm(h_TD, &weights.mlp_norm, eps);
  observe(options, again, name, ".ffn_norm", ffn_in_TD);
  Tensor ffn_TD = spec.moe
                      ? mixture_of_experts(ffn_in_TD, spec, *weights.moe, layer, options, again)
                      : mlp(ffn_in_TD, *weights.dense, options);
  observe(options, again, name, ".ffn_out", ffn_TD);
  const Tensor out_TD = ops::add(std::move(ffn_TD), h_TD);
  observe(options, again, name, ".out", out_TD);
  return out_TD;
}

Tensor TextModel::logits(const Tensor& hidden_ND, const ForwardOptions& options) const {
  show_input(options, {&weights_.readout}, hidden_ND);
  return ops::linear(hidden_ND, weights_.readout, options.precision);
}

TextModel::TextModel(Config config, TextWeights weights)
    : config_(std::move(config)),
      specs_(layer_specs(config_)),
      weights_(std::move(weights)),
      rope_(rope_of(config_, weights_)) {}

TextModel TextModel::trainable(const Config& config, const std::vector<Tensor>& tensors) {
  const std::vector<ParameterInfo> list = parameter_list(config);
  if (list.size() != tensors.size()) {
    throw ShapeError(str("a model of ", list.size(), " parameters got ", tensors.size()));
  }
  std::vector<NamedParameter> parameters;
  for (size_t i = 0; i < list.size(); ++i) {
    if (tensors[i].dtype() != DType::kF32 || !tensors[i].storage()->writable()) {
      throw NotSupported(str("training needs ", list[i].name, " as f32 in memory of its own"));
    }
    parameters.push_back(
        {list[i].name, autograd::parameter(tensors[i]), list[i].role, list[i].shape.rank() >= 2});
  }
  size_t next = 0;
  TextModel model(config, arrange_weights(config, [&](const ParameterInfo&) {
                    return parameters[next++].value;
                  }));
  model.parameters_ = std::move(parameters);
  return model;
}

kv::KvLayout TextModel::kv_layout(kv::KvTypes types) const {
  kv::KvLayout layout;
  layout.types = types;
  for (const LayerSpec& spec : specs_) layout.chunk_sizes.push_back(spec.attention.chunk_size);
  layout.kv_heads = config_.num_key_value_heads;
  layout.head_dim = config_.head_dim;
  return layout;
}

}  // namespace corral::model
