#include "base/error.h"
#include "model/gguf_checkpoint.h"

namespace corral::model {
namespace {

using quant::LinearWeight;

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// Fetches tensors of one file and checks their shapes against the config.
class WeightReader {
 public:
  WeightReader(const io::GgufFile& file, const DevicePtr& device) : file_(file), device_(device) {}

  Tensor tensor(const std::string& name, const Shape& shape) const {
    if (!file_.has(name)) throw CorruptFile(str(file_.origin(), ": tensor ", name, " is missing"));
    Tensor tensor = file_.get(name, device_);
    if (!(tensor.shape() == shape)) {
      throw CorruptFile(str(file_.origin(), ": tensor ", name, " is ", tensor.shape(),
                            ", the header's values need ", shape));
    }
    if (!is_float(tensor.dtype()) && !is_block(tensor.dtype())) {
      throw CorruptFile(str(file_.origin(), ": tensor ", name, " holds ", tensor.dtype(),
                            ", a weight needs floats or blocks of them"));
    }
    return tensor;
  }
  Tensor norm(const std::string& name, int64_t D) const {
    const Tensor norm = tensor(name, {D});
    if (is_float(norm.dtype())) return to_f32(norm);
    throw CorruptFile(
        str(file_.origin(), ": tensor ", name, " holds ", norm.dtype(), ", a norm needs floats"));
  }
  LinearWeight linear(const std::string& name, int64_t out, int64_t in) const {
    return LinearWeight::out_in(tensor(name, {out, in}));
  }
  LinearWeight stack(const std::string& name, int64_t count, int64_t out, int64_t in) const {
    return LinearWeight::out_in(tensor(name, {count, out, in}));
  }

 private:
  const io::GgufFile& file_;
  const DevicePtr& device_;
};

AttentionWeights read_attention(const WeightReader& in, const Config& c,
                                const std::string& prefix) {
  const int64_t D = c.hidden_size;
  const int64_t HC = c.num_attention_heads * c.head_dim;
  const int64_t KC = c.num_key_value_heads * c.head_dim;
  return {in.linear(prefix + "attn_q.weight", HC, D), in.linear(prefix + "attn_k.weight", KC, D),
          in.linear(prefix + "attn_v.weight", KC, D),
          in.linear(prefix + "attn_output.weight", D, HC)};
}

LayerWeights read_layer(const WeightReader& in, const Config& c, int64_t layer) {
  const std::string prefix = str("blk.", layer, ".");
  const int64_t D = c.hidden_size;
  LayerWeights weights;
  weights.attention_norm = in.norm(prefix + "attn_norm.weight", D);
  weights.attention = read_attention(in, c, prefix);
  weights.mlp_norm = in.norm(prefix + "ffn_norm.weight", D);
  if (!c.is_moe(layer)) {
    const int64_t F = c.intermediate_size_mlp;
    weights.dense = MlpWeights{in.linear(prefix + "ffn_gate.weight", F, D),
                               in.linear(prefix + "ffn_up.weight", F, D),
                               in.linear(prefix + "ffn_down.weight", D, F)};
    return weights;
  }
  const int64_t E = c.num_local_experts;
  const int64_t F = c.intermediate_size;
  MoeWeights moe;
  moe.router = in.linear(prefix + "ffn_gate_inp.weight", E, D);
  moe.experts = {in.stack(prefix + "ffn_gate_exps.weight", E, F, D),
                 in.stack(prefix + "ffn_up_exps.weight", E, F, D),
                 in.stack(prefix + "ffn_down_exps.weight", E, D, F)};
  moe.shared = {in.linear(prefix + "ffn_gate_shexp.weight", F, D),
                in.linear(prefix + "ffn_up_shexp.weight", F, D),
                in.linear(prefix + "ffn_down_shexp.weight", D, F)};
  weights.moe = moe;
  return weights;
}

}  // namespace

TextWeights gguf_weights(const io::GgufFile& file, const Config& config, const DevicePtr& device) {
  const WeightReader in(file, device);
  TextWeights weights;
  weights.embedding = in.tensor("token_embd.weight", {config.vocab_size, config.hidden_size});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    weights.layers.push_back(read_layer(in, config, i));
  }
  weights.final_norm = in.norm("output_norm.weight", config.hidden_size);
  weights.readout = config.tie_word_embeddings
                        ? LinearWeight::out_in(weights.embedding)
                        : in.linear("output.weight", config.vocab_size, config.hidden_size);
  // Corral's own scaling keys say the same more exactly than the rounded divisors.
  if (file.has("rope_freqs.weight") && !config.rope_scaling) {
    weights.rope_divisors = in.norm("rope_freqs.weight", config.head_dim / 2);
  }
  return weights;
}

}  // namespace corral::model
