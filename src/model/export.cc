#include "model/export.h"

#include "base/error.h"
#include "model/attention.h"
#include "quant/dense.h"

namespace corral::model {
namespace {

using quant::LinearWeight;

bool fills_its_tensor(const LinearWeight& w) {
  return w.coding == quant::Coding::kNone && w.offset == 0 &&
         w.count * w.out_features * w.in_features == w.data.numel();
}

// A matrix in [out, in] order: the source's own memory where it lies so.
Tensor out_in(const LinearWeight& w) {
  if (w.count == 1 && w.stride_in == 1 && fills_its_tensor(w)) return w.data.detach();
  return quant::dense_f32(w);
}

// Matrix e of a stack as [1, N, K].
Tensor expert_out_in(const LinearWeight& w, int64_t e) {
  if (w.stride_in == 1 && fills_its_tensor(w)) return w.data.rows(e, e + 1).detach();
  return quant::dense_f32(w, e).view({1, w.out_features, w.in_features});
}

// The parts lie side by side in one tensor of three axes, and fill it.
bool lie_side_by_side(const std::vector<LinearWeight>& parts) {
  const LinearWeight& first = parts.front();
  if (first.coding != quant::Coding::kNone) return false;
  int64_t columns = 0;
  for (const LinearWeight& part : parts) {
    if (part.stride_out != 1 || part.data.storage() != first.data.storage()) return false;
    if (part.offset != columns) return false;
    columns += part.out_features;
  }
  return first.count * first.in_features * columns == first.data.numel();
}

// Matrices e of stacks side by side as [1, K, N0 + N1 + ...]: Hugging Face's expert tensors.
Tensor expert_in_out(const std::vector<LinearWeight>& parts, int64_t e) {
  const LinearWeight& first = parts.front();
  if (lie_side_by_side(parts)) return first.data.rows(e, e + 1).detach();
  const int64_t K = first.in_features;
  int64_t columns = 0;
  for (const LinearWeight& part : parts) columns += part.out_features;
  Tensor out({1, K, columns}, DType::kF32, first.data.device());
  auto* to = out.mutable_data<float>();
  int64_t column = 0;
  for (const LinearWeight& part : parts) {
    const Tensor matrix = quant::dense_f32(part, e);
    const auto* from = matrix.data<float>();
    for (int64_t n = 0; n < part.out_features; ++n, ++column) {
      for (int64_t k = 0; k < K; ++k) to[k * columns + column] = from[n * K + k];
    }
  }
  return out;
}

// Pairs the names of the parameter list, in its order, with the values.
class HfList {
 public:
  explicit HfList(const Config& config) : infos_(parameter_list(config)) {}

  void add_parts(int64_t parts, std::function<Tensor(int64_t)> make) {
    const ParameterInfo& info = infos_.at(list.size());
    list.push_back({info.name, info.shape, info.role, parts, std::move(make)});
  }
  void add(const Tensor& tensor) {
    add_parts(1, [&tensor](int64_t) { return tensor.detach(); });
  }
  void add(const LinearWeight& weight) {
    add_parts(1, [&weight](int64_t) { return out_in(weight); });
  }
  void add(const MlpWeights& mlp) {
    add(mlp.gate);
    add(mlp.up);
    add(mlp.down);
  }

  std::vector<ExportTensor> list;

 private:
  std::vector<ParameterInfo> infos_;
};

// Names and shapes of llama.cpp's layout.
class GgufList {
 public:
  void add(const std::string& name, const Tensor& tensor, Role role) {
    list.push_back({name, tensor.shape(), role, 1, [&tensor](int64_t) { return tensor.detach(); }});
  }
  void add(const std::string& name, const LinearWeight& w, Role role) {
    list.push_back(
        {name, {w.out_features, w.in_features}, role, 1, [&w](int64_t) { return out_in(w); }});
  }
  void add_stack(const std::string& name, const LinearWeight& w, Role role) {
    list.push_back({name, {w.count, w.out_features, w.in_features}, role, w.count, [&w](int64_t e) {
                      return expert_out_in(w, e);
                    }});
  }

  std::vector<ExportTensor> list;
};

void add_gguf_layer(GgufList& out, const LayerWeights& layer, const std::string& prefix) {
  out.add(prefix + "attn_norm.weight", layer.attention_norm, Role::kNorm);
  out.add(prefix + "attn_q.weight", layer.attention.q, Role::kAttentionIn);
  out.add(prefix + "attn_k.weight", layer.attention.k, Role::kAttentionIn);
  out.add(prefix + "attn_v.weight", layer.attention.v, Role::kAttentionIn);
  out.add(prefix + "attn_output.weight", layer.attention.o, Role::kAttentionOut);
  out.add(prefix + "ffn_norm.weight", layer.mlp_norm, Role::kNorm);
  if (layer.dense) {
    out.add(prefix + "ffn_gate.weight", layer.dense->gate, Role::kMlpIn);
    out.add(prefix + "ffn_up.weight", layer.dense->up, Role::kMlpIn);
    out.add(prefix + "ffn_down.weight", layer.dense->down, Role::kMlpOut);
    return;
  }
  out.add(prefix + "ffn_gate_inp.weight", layer.moe->router, Role::kRouter);
  out.add_stack(prefix + "ffn_gate_exps.weight", layer.moe->experts.gate, Role::kMlpIn);
  out.add_stack(prefix + "ffn_up_exps.weight", layer.moe->experts.up, Role::kMlpIn);
  out.add_stack(prefix + "ffn_down_exps.weight", layer.moe->experts.down, Role::kMlpOut);
  out.add(prefix + "ffn_gate_shexp.weight", layer.moe->shared.gate, Role::kMlpIn);
  out.add(prefix + "ffn_up_shexp.weight", layer.moe->shared.up, Role::kMlpIn);
  out.add(prefix + "ffn_down_shexp.weight", layer.moe->shared.down, Role::kMlpOut);
}

// llama.cpp reads frequency scaling as divisors of the plain frequencies.
Tensor rope_divisors(const Config& config, const DevicePtr& device) {
  const auto plain = ops::rope_frequencies(config.head_dim, config.rope_theta);
  const auto scaled =
      ops::rope_frequencies(config.head_dim, config.rope_theta, rope_scaling(config));
  std::vector<float> divisors;
  for (size_t i = 0; i < plain.per_pair().size(); ++i) {
    divisors.push_back(plain.per_pair()[i] / scaled.per_pair()[i]);
  }
  return Tensor::from(divisors, {config.head_dim / 2}, device);
}

}  // namespace

std::vector<ExportTensor> hf_tensors(const Config& config, const TextWeights& weights) {
  HfList out(config);
  out.add(weights.embedding);
  for (const LayerWeights& layer : weights.layers) {
    out.add(layer.attention_norm);
    out.add(layer.attention.q);
    out.add(layer.attention.k);
    out.add(layer.attention.v);
    out.add(layer.attention.o);
    out.add(layer.mlp_norm);
    if (layer.dense) {
      out.add(*layer.dense);
      continue;
    }
    const MoeWeights& moe = *layer.moe;
    out.add(moe.router);
    const int64_t E = moe.experts.gate.count;
    out.add_parts(E, [&moe](int64_t e) {
      return expert_in_out({moe.experts.gate, moe.experts.up}, e);
    });
    out.add_parts(E, [&moe](int64_t e) { return expert_in_out({moe.experts.down}, e); });
    out.add(moe.shared);
  }
  out.add(weights.final_norm);
  if (!config.tie_word_embeddings) out.add(weights.readout);
  return std::move(out.list);
}

std::vector<ExportTensor> gguf_tensors(const Config& config, const TextWeights& weights) {
  GgufList out;
  out.add("token_embd.weight", weights.embedding, Role::kEmbedding);
  if (weights.rope_divisors.defined()) {
    out.add("rope_freqs.weight", weights.rope_divisors, Role::kNorm);
  } else if (config.rope_scaling) {
    const DevicePtr device = weights.embedding.device();
    out.list.push_back(
        {"rope_freqs.weight", {config.head_dim / 2}, Role::kNorm, 1, [config, device](int64_t) {
           return rope_divisors(config, device);
         }});
  }
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    add_gguf_layer(out, weights.layers[i], str("blk.", i, "."));
  }
  out.add("output_norm.weight", weights.final_norm, Role::kNorm);
  if (!config.tie_word_embeddings) out.add("output.weight", weights.readout, Role::kReadout);
  return std::move(out.list);
}

}  // namespace corral::model
