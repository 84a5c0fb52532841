#include "model/vision/vision_weights.h"

#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace corral::model {
namespace {

// Visits every parameter with its info and its place in `weights` (const or not), in the order of
// the computation. All lists of this file are walks of this one.
template <class Weights, class Visit>
class Walk {
 public:
  Walk(const VisionConfig& config, Visit& visit) : c_(config), visit_(visit) {}

  void all(Weights& w) {
    const int64_t D = c_.hidden_size;
    const int64_t patch = c_.num_channels * c_.patch_size * c_.patch_size;
    const int64_t joined = D * c_.shuffle() * c_.shuffle();
    const int64_t J = c_.projector_input_dim;
    one("vision_model.patch_embedding.linear.weight", "v.patch_embd.weight", {D, patch},
        Role::kMlpIn, w.patch_embedding);
    one("vision_model.class_embedding", "v.class_embd", {D}, Role::kEmbedding, w.class_embedding);
    one("vision_model.positional_embedding_vlm", "v.position_embd.weight", {c_.patches() + 1, D},
        Role::kEmbedding, w.positional_embedding);
    norm("vision_model.layernorm_pre", "v.pre_ln", w.pre_norm);
    for (int64_t i = 0; i < c_.num_hidden_layers; ++i) {
      layer_ = i;
      layer(w.layers[static_cast<size_t>(i)]);
    }
    layer_ = -1;
    norm("vision_model.layernorm_post", "v.post_ln", w.post_norm);
    one("vision_model.vision_adapter.mlp.fc1.weight", "mm.model.mlp.1.weight", {J, joined},
        Role::kMlpIn, w.adapter_in);
    one("vision_model.vision_adapter.mlp.fc2.weight", "mm.model.mlp.2.weight", {J, J}, Role::kMlpIn,
        w.adapter_out);
    one("multi_modal_projector.linear_1.weight", "mm.model.fc.weight", {c_.text_hidden_size, J},
        Role::kMlpIn, w.projector);
  }

 private:
  template <class T>
  void one(const std::string& hf, const std::string& gguf, const Shape& shape, Role role,
           T& value) {
    visit_(VisionParameterInfo{{hf, shape, role, layer_}, gguf}, value);
  }
  template <class T>
  void norm(const std::string& hf, const std::string& gguf, T& value) {
    const Shape shape = {c_.hidden_size};
    one(hf + ".weight", gguf + ".weight", shape, Role::kNorm, value.weight);
    one(hf + ".bias", gguf + ".bias", shape, Role::kBias, value.bias);
  }
  template <class T>
  void matrix(const std::string& hf, const std::string& gguf, const Shape& shape, Role role,
              T& value) {
    one(hf + ".weight", gguf + ".weight", shape, role, value.weight);
    one(hf + ".bias", gguf + ".bias", {shape[0]}, Role::kBias, value.bias);
  }
  template <class T>
  void layer(T& w) {
    const std::string hf = str("vision_model.model.layers.", layer_, ".");
    const std::string gguf = str("v.blk.", layer_, ".");
    const int64_t D = c_.hidden_size;
    const int64_t F = c_.intermediate_size;
    norm(hf + "input_layernorm", gguf + "ln1", w.attention_norm);
    matrix(hf + "self_attn.q_proj", gguf + "attn_q", {D, D}, Role::kAttentionIn, w.q);
    matrix(hf + "self_attn.k_proj", gguf + "attn_k", {D, D}, Role::kAttentionIn, w.k);
    matrix(hf + "self_attn.v_proj", gguf + "attn_v", {D, D}, Role::kAttentionIn, w.v);
    matrix(hf + "self_attn.o_proj", gguf + "attn_out", {D, D}, Role::kAttentionOut, w.o);
    norm(hf + "post_attention_layernorm", gguf + "ln2", w.mlp_norm);
    matrix(hf + "mlp.fc1", gguf + "ffn_up", {F, D}, Role::kMlpIn, w.up);
    matrix(hf + "mlp.fc2", gguf + "ffn_down", {D, F}, Role::kMlpOut, w.down);
  }

  const VisionConfig& c_;
  Visit& visit_;
  int64_t layer_ = -1;
};

template <class Weights, class Visit>
void walk(const VisionConfig& config, Weights& weights, Visit visit) {
  Walk<Weights, Visit>(config, visit).all(weights);
}

VisionWeights empty_weights(const VisionConfig& config) {
  VisionWeights weights;
  weights.layers.resize(static_cast<size_t>(config.num_hidden_layers));
  return weights;
}

double initial_std(const VisionConfig& config, const ParameterInfo& info) {
  const double inputs = static_cast<double>(info.shape[-1]);
  switch (info.role) {
    case Role::kAttentionOut:
    case Role::kMlpOut:
      return 1.0 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers) * inputs);
    case Role::kNorm:
    case Role::kBias:
      return 0;
    default:
      return 1.0 / std::sqrt(inputs);
  }
}

}  // namespace

std::vector<VisionParameterInfo> vision_parameter_list(const VisionConfig& config) {
  std::vector<VisionParameterInfo> list;
  VisionWeights weights = empty_weights(config);
  walk(config, weights,
       [&](VisionParameterInfo info, Tensor&) { list.push_back(std::move(info)); });
  return list;
}

VisionWeights arrange_vision_weights(const VisionConfig& config,
                                     const std::function<Tensor(const VisionParameterInfo&)>& get) {
  VisionWeights weights = empty_weights(config);
  walk(config, weights, [&](const VisionParameterInfo& info, Tensor& value) {
    value = get(info);
    if (!(value.shape() == info.hf.shape)) {
      throw CorruptFile(str("tensor ", info.hf.name, " is ", value.shape(), ", the config needs ",
                            info.hf.shape));
    }
    // A leaf stays the leaf it is: to_f32 would take it off the tape.
    if (info.hf.shape.rank() == 1 && value.dtype() != DType::kF32) value = to_f32(value);
  });
  return weights;
}

std::vector<Tensor> vision_tensors(const VisionConfig& config, const VisionWeights& weights) {
  std::vector<Tensor> tensors;
  walk(config, weights,
       [&](const VisionParameterInfo&, const Tensor& value) { tensors.push_back(value); });
  return tensors;
}

std::vector<Tensor> initialise_vision(const VisionConfig& config, uint64_t seed,
                                      const DevicePtr& device) {
  std::vector<Tensor> tensors;
  for (const auto& [info, gguf] : vision_parameter_list(config)) {
    Tensor tensor(info.shape, DType::kF32, device);
    auto* values = tensor.mutable_data<float>();
    const double std = initial_std(config, info);
    const float base = info.role == Role::kNorm ? 1.0f : 0.0f;
    const Philox random(seed ^ hash_name(info.name));
    device->threads().parallel_for(tensor.numel(), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        values[i] = base + static_cast<float>(std * random.normal(static_cast<uint64_t>(i)));
      }
    });
    tensors.push_back(tensor);
  }
  return tensors;
}

int64_t count_vision_parameters(const VisionConfig& config) {
  int64_t count = 0;
  for (const VisionParameterInfo& info : vision_parameter_list(config)) {
    count += info.hf.shape.numel();
  }
  return count;
}

}  // namespace corral::model
