#include "model/weights.h"

#include <algorithm>

#include "base/error.h"
#include "model/layer_spec.h"

namespace corral::model {
namespace {

using quant::LinearWeight;

// Walks the parameters of one layer, in the order of its computation.
void append_layer(const Config& c, int64_t layer, const std::string& root,
                  std::vector<ParameterInfo>& list) {
  const std::string prefix = str(root, "model.layers.", layer, ".");
  const int64_t D = c.hidden_size;
  const int64_t HC = c.num_attention_heads * c.head_dim;
  const int64_t KC = c.num_key_value_heads * c.head_dim;
  const auto add = [&](const char* name, const Shape& shape, Role role) {
    list.push_back({prefix + name, shape, role, layer});
  };
  add("input_layernorm.weight", {D}, Role::kNorm);
  add("self_attn.q_proj.weight", {HC, D}, Role::kAttentionIn);
  add("self_attn.k_proj.weight", {KC, D}, Role::kAttentionIn);
  add("self_attn.v_proj.weight", {KC, D}, Role::kAttentionIn);
  add("self_attn.o_proj.weight", {D, HC}, Role::kAttentionOut);
  add("post_attention_layernorm.weight", {D}, Role::kNorm);
  if (c.is_moe(layer)) {
    const int64_t E = c.num_local_experts;
    const int64_t F = c.intermediate_size;
    add("feed_forward.router.weight", {E, D}, Role::kRouter);
    add("feed_forward.experts.gate_up_proj", {E, D, 2 * F}, Role::kMlpIn);
    add("feed_forward.experts.down_proj", {E, F, D}, Role::kMlpOut);
    add("feed_forward.shared_expert.gate_proj.weight", {F, D}, Role::kMlpIn);
    add("feed_forward.shared_expert.up_proj.weight", {F, D}, Role::kMlpIn);
    add("feed_forward.shared_expert.down_proj.weight", {D, F}, Role::kMlpOut);
  } else {
    const int64_t F = c.intermediate_size_mlp;
    add("feed_forward.gate_proj.weight", {F, D}, Role::kMlpIn);
    add("feed_forward.up_proj.weight", {F, D}, Role::kMlpIn);
    add("feed_forward.down_proj.weight", {D, F}, Role::kMlpOut);
  }
}

// Hands out the tensors of the list one after another, so that the order is written once.
class Cursor {
 public:
  Cursor(std::vector<ParameterInfo> list, const std::function<Tensor(const ParameterInfo&)>& get)
      : list_(std::move(list)), get_(get) {}

  Tensor next() {
    const ParameterInfo& info = list_.at(at_++);
    Tensor tensor = get_(info);
    if (!(tensor.shape() == info.shape)) {
      throw CorruptFile(
          str("tensor ", info.name, " is ", tensor.shape(), ", the config needs ", info.shape));
    }
    // A leaf stays the leaf it is: to_f32 would take it off the tape.
    const bool widen = info.role == Role::kNorm && tensor.dtype() != DType::kF32;
    return widen ? to_f32(tensor) : tensor;
  }
  LinearWeight linear() { return LinearWeight::out_in(next()); }

 private:
  std::vector<ParameterInfo> list_;
  const std::function<Tensor(const ParameterInfo&)>& get_;
  size_t at_ = 0;
};

MlpWeights read_mlp(Cursor& cursor) {
  MlpWeights mlp;
  mlp.gate = cursor.linear();
  mlp.up = cursor.linear();
  mlp.down = cursor.linear();
  return mlp;
}

// gate_up_proj [E, D, 2F] holds gate in its first F columns; down_proj is [E, F, D].
MlpWeights read_experts(Cursor& cursor, int64_t D, int64_t F) {
  const Tensor gate_up = cursor.next();
  const Tensor down = cursor.next();
  return {LinearWeight::in_out(gate_up, 0, F), LinearWeight::in_out(gate_up, F, F),
          LinearWeight::in_out(down, 0, D)};
}

LayerWeights read_layer(Cursor& cursor, const Config& c, int64_t layer) {
  LayerWeights weights;
  weights.attention_norm = cursor.next();
  weights.attention.q = cursor.linear();
  weights.attention.k = cursor.linear();
  weights.attention.v = cursor.linear();
  weights.attention.o = cursor.linear();
  weights.mlp_norm = cursor.next();
  if (c.is_moe(layer)) {
    MoeWeights moe;
    moe.router = cursor.linear();
    moe.experts = read_experts(cursor, c.hidden_size, c.intermediate_size);
    moe.shared = read_mlp(cursor);
    weights.moe = moe;
  } else {
    weights.dense = read_mlp(cursor);
  }
  return weights;
}

}  // namespace

std::vector<ParameterInfo> parameter_list(const Config& c) {
  const std::string root = c.multimodal_layout ? "language_model." : "";
  std::vector<ParameterInfo> list;
  list.push_back(
      {root + "model.embed_tokens.weight", {c.vocab_size, c.hidden_size}, Role::kEmbedding, -1});
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) append_layer(c, i, root, list);
  list.push_back({root + "model.norm.weight", {c.hidden_size}, Role::kNorm, -1});
  if (!c.tie_word_embeddings) {
    list.push_back({root + "lm_head.weight", {c.vocab_size, c.hidden_size}, Role::kReadout, -1});
  }
  return list;
}

TextWeights arrange_weights(const Config& config,
                            const std::function<Tensor(const ParameterInfo&)>& get) {
  Cursor cursor(parameter_list(config), get);
  TextWeights weights;
  weights.embedding = cursor.next();
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    weights.layers.push_back(read_layer(cursor, config, i));
  }
  weights.final_norm = cursor.next();
  weights.readout =
      config.tie_word_embeddings ? LinearWeight::out_in(weights.embedding) : cursor.linear();
  return weights;
}

ParameterCount count_parameters(const Config& config) {
  ParameterCount count;
  for (const ParameterInfo& info : parameter_list(config)) {
    const int64_t n = info.shape.numel();
    count.total += n;
    const bool routed = info.shape.rank() == 3;
    count.active += routed ? n / config.num_local_experts * config.num_experts_per_tok : n;
  }
  return count;
}

int64_t kv_cache_bytes(const Config& config, int64_t tokens, int64_t bytes_per_value) {
  int64_t rows = 0;
  for (const LayerSpec& layer : layer_specs(config)) {
    const int64_t chunk = layer.attention.chunk_size;
    rows += chunk > 0 ? std::min(tokens, chunk) : tokens;
  }
  return rows * 2 * config.num_key_value_heads * config.head_dim * bytes_per_value;
}

}  // namespace corral::model
