#include "model/weights.h"

#include <algorithm>

#include "base/error.h"
#include "model/layer_spec.h"

namespace corral::model {

using quant::LinearWeight;

// Hands out the parameters of the list one after another, so that the order is written once.
class ParameterCursor {
 public:
  ParameterCursor(std::vector<ParameterInfo> list, ParameterReader& reader)
      : list_(std::move(list)), reader_(reader) {}

  Tensor tensor() { return reader_.checked(list_.at(at_++)); }
  // A leaf stays the leaf it is: to_f32 would take it off the tape.
  Tensor norm() {
    const Tensor x = tensor();
    return x.dtype() == DType::kF32 ? x : to_f32(x);
  }
  LinearWeight linear() { return reader_.linear(list_.at(at_++)); }
  MlpWeights mlp() {
    MlpWeights mlp;
    mlp.gate = linear();
    mlp.up = linear();
    mlp.down = linear();
    return mlp;
  }
  MlpWeights experts() {
    const ParameterInfo& gate_up = list_.at(at_++);
    return reader_.experts(gate_up, list_.at(at_++));
  }

 private:
  std::vector<ParameterInfo> list_;
  ParameterReader& reader_;
  size_t at_ = 0;
};

namespace {

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

LayerWeights read_layer(ParameterCursor& cursor, const Config& c, int64_t layer) {
  LayerWeights weights;
  weights.attention_norm = cursor.norm();
  weights.attention.q = cursor.linear();
  weights.attention.k = cursor.linear();
  weights.attention.v = cursor.linear();
  weights.attention.o = cursor.linear();
  weights.mlp_norm = cursor.norm();
  if (c.is_moe(layer)) {
    MoeWeights moe;
    moe.router = cursor.linear();
    moe.experts = cursor.experts();
    moe.shared = cursor.mlp();
    weights.moe = moe;
  } else {
    weights.dense = cursor.mlp();
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

Tensor ParameterReader::checked(const ParameterInfo& info) {
  Tensor found = tensor(info);
  if (!(found.shape() == info.shape)) {
    throw CorruptFile(
        str("tensor ", info.name, " is ", found.shape(), ", the config needs ", info.shape));
  }
  return found;
}

LinearWeight ParameterReader::linear(const ParameterInfo& info) {
  return LinearWeight::out_in(checked(info));
}

MlpWeights ParameterReader::experts(const ParameterInfo& gate_up, const ParameterInfo& down) {
  const Tensor both = checked(gate_up);
  const int64_t F = gate_up.shape[2] / 2;
  return {LinearWeight::in_out(both, 0, F), LinearWeight::in_out(both, F, F),
          LinearWeight::in_out(checked(down), 0, down.shape[2])};
}

TextWeights arrange_weights(const Config& config, ParameterReader& reader) {
  ParameterCursor cursor(parameter_list(config), reader);
  TextWeights weights;
  weights.embedding = cursor.tensor();
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    weights.layers.push_back(read_layer(cursor, config, i));
  }
  weights.final_norm = cursor.norm();
  weights.readout =
      config.tie_word_embeddings ? LinearWeight::out_in(weights.embedding) : cursor.linear();
  return weights;
}

TextWeights arrange_weights(const Config& config,
                            const std::function<Tensor(const ParameterInfo&)>& get) {
  class FromFunction final : public ParameterReader {
   public:
    explicit FromFunction(const std::function<Tensor(const ParameterInfo&)>& get) : get_(get) {}
    Tensor tensor(const ParameterInfo& info) override { return get_(info); }

   private:
    const std::function<Tensor(const ParameterInfo&)>& get_;
  };
  FromFunction reader(get);
  return arrange_weights(config, reader);
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

int64_t kv_cache_bytes(const Config& config, int64_t tokens, kv::KvTypes types) {
  int64_t rows = 0;
  for (const LayerSpec& layer : layer_specs(config)) {
    const int64_t chunk = layer.attention.chunk_size;
    rows += chunk > 0 ? std::min(tokens, chunk) : tokens;
  }
  const int64_t tile_bytes =
      kv::key_tile_bytes(types.k, config.head_dim) + kv::value_tile_bytes(types.v, config.head_dim);
  return rows * config.num_key_value_heads * (tile_bytes / kv::kTileTokens);
}

}  // namespace corral::model
