#include "model/meta_names.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace corral::model {
namespace {

using Split = MetaTensor::Split;

class List {
 public:
  void vector(std::string name, std::string native, int64_t n, Split split = Split::kNone) {
    list.push_back({.name = std::move(name),
                    .native = std::move(native),
                    .shape = {n},
                    .split = split,
                    .rows = n,
                    .columns = 1});
  }
  MetaTensor& matrix(std::string name, std::string native, int64_t rows, int64_t columns,
                     Split split) {
    list.push_back({.name = std::move(name),
                    .native = std::move(native),
                    .shape = {rows, columns},
                    .split = split,
                    .rows = rows,
                    .columns = columns});
    return list.back();
  }
  void stack(std::string name, std::string native, const Shape& shape, Split split) {
    list.push_back({.name = std::move(name),
                    .native = std::move(native),
                    .shape = shape,
                    .split = split,
                    .groups = shape[0],
                    .rows = shape[1],
                    .columns = shape[2]});
  }
  /// Tensors that share one native tensor, one below the other.
  void stacked(const std::vector<std::pair<std::string, int64_t>>& names, const std::string& native,
               int64_t columns) {
    int64_t total = 0;
    for (const auto& [name, rows] : names) total += rows;
    int64_t before = 0;
    for (const auto& [name, rows] : names) {
      MetaTensor& tensor = matrix(name, native, rows, columns, Split::kRows);
      tensor.rows_before = before;
      tensor.rows_behind = total - before - rows;
      before += rows;
    }
  }

  std::vector<MetaTensor> list;
};

void add_layer(List& out, const Config& c, int64_t layer) {
  const std::string hf = str("language_model.model.layers.", layer, ".");
  const std::string native = str("layers.", layer, ".");
  const int64_t D = c.hidden_size;
  const int64_t HC = c.num_attention_heads * c.head_dim;
  const int64_t KC = c.num_key_value_heads * c.head_dim;
  out.vector(hf + "input_layernorm.weight", native + "attention.wqkv.layer_norm_weight", D);
  out.stacked({{hf + "self_attn.q_proj.weight", HC},
               {hf + "self_attn.k_proj.weight", KC},
               {hf + "self_attn.v_proj.weight", KC}},
              native + "attention.wqkv.weight", D);
  out.matrix(hf + "self_attn.o_proj.weight", native + "attention.wo.weight", D, HC,
             Split::kColumns);
  const std::string mlp = native + "feed_forward.";
  const std::string norm = hf + "post_attention_layernorm.weight";
  const std::string hf_mlp = hf + "feed_forward.";
  if (!c.is_moe(layer)) {
    const int64_t F = c.intermediate_size_mlp;
    out.vector(norm, mlp + "mlp.layer_norm_weight", D);
    out.stacked({{hf_mlp + "gate_proj.weight", F}, {hf_mlp + "up_proj.weight", F}},
                mlp + "mlp.fc1_weight", D);
    out.matrix(hf_mlp + "down_proj.weight", mlp + "mlp.fc2_weight", D, F, Split::kColumns);
    return;
  }
  const int64_t E = c.num_local_experts;
  const int64_t F = c.intermediate_size;
  out.vector(norm, mlp + "norm.weight", D);
  out.matrix(hf_mlp + "router.weight", mlp + "router_DE", E, D, Split::kNone).transposed = true;
  const std::string experts = mlp + "experts.";
  out.stack(hf_mlp + "experts.gate_proj", experts + "moe_w_in_eD_F", {E, D, F}, Split::kColumns);
  out.stack(hf_mlp + "experts.up_proj", experts + "moe_w_swiglu_eD_F", {E, D, F}, Split::kColumns);
  out.stack(hf_mlp + "experts.down_proj", experts + "moe_w_out_eF_D", {E, F, D}, Split::kRows);
  const std::string shared = hf_mlp + "shared_expert.";
  out.matrix(shared + "gate_proj.weight", mlp + "w_in_shared_FD.weight", F, D, Split::kRows);
  out.matrix(shared + "up_proj.weight", mlp + "w_swiglu_FD.weight", F, D, Split::kRows);
  out.matrix(shared + "down_proj.weight", mlp + "w_out_shared_DF.weight", D, F, Split::kColumns);
}

// The sizes of the image tower, from vision_config.
struct VisionSizes {
  int64_t dim;
  int64_t mlp;
  int64_t layers;
  int64_t patch_values;
  int64_t positions;
  int64_t shuffled;
  int64_t adapter;
  int64_t text;
};

constexpr int64_t kMostVisionSize = int64_t{1} << 14;
constexpr int64_t kMostVisionLayers = 4096;

VisionSizes vision_sizes(const Json& vision, const Config& config) {
  const auto get = [&](const char* key, int64_t most = kMostVisionSize) {
    const auto value = vision.contains(key) && vision[key].is_number_integer()
                           ? vision[key].get<int64_t>()
                           : int64_t{0};
    if (value < 1 || value > most) {
      throw CorruptFile(str("config: vision_config.", key, " is ", value, ", needs 1 to ", most));
    }
    return value;
  };
  const int64_t patch = get("patch_size");
  const int64_t side = get("image_size") / patch;
  const int64_t dim = get("hidden_size");
  const double ratio = vision.value("pixel_shuffle_ratio", 0.5);
  if (!(ratio > 0.01 && ratio <= 1)) {
    throw CorruptFile(str("config: vision_config.pixel_shuffle_ratio is ", ratio));
  }
  return {.dim = dim,
          .mlp = get("intermediate_size"),
          .layers = get("num_hidden_layers", kMostVisionLayers),
          .patch_values = get("num_channels") * patch * patch,
          .positions = side * side + 1,
          .shuffled = static_cast<int64_t>(static_cast<double>(dim) / (ratio * ratio)),
          .adapter = get("vision_output_dim"),
          .text = config.hidden_size};
}

void add_vision_layer(List& out, const VisionSizes& v, int64_t layer) {
  const std::string hf = str("vision_model.model.layers.", layer, ".");
  const std::string native =
      str("vision_embeddings.vision_encoder.transformer.resblocks.", layer, ".");
  const auto linear = [&](const char* to, const char* from, int64_t rows, int64_t columns,
                          Split split) {
    out.matrix(hf + to + ".weight", native + from + ".weight", rows, columns, split);
    out.vector(hf + to + ".bias", native + from + ".bias", rows,
               split == Split::kRows ? Split::kRows : Split::kNone);
  };
  const auto norm = [&](const char* to, const char* from) {
    out.vector(hf + to + ".weight", native + from + ".weight", v.dim);
    out.vector(hf + to + ".bias", native + from + ".bias", v.dim);
  };
  norm("input_layernorm", "ln_1");
  linear("self_attn.q_proj", "attn.wq", v.dim, v.dim, Split::kRows);
  linear("self_attn.k_proj", "attn.wk", v.dim, v.dim, Split::kRows);
  linear("self_attn.v_proj", "attn.wv", v.dim, v.dim, Split::kRows);
  linear("self_attn.o_proj", "attn.wo", v.dim, v.dim, Split::kColumns);
  norm("post_attention_layernorm", "ln_2");
  linear("mlp.fc1", "mlp.c_fc", v.mlp, v.dim, Split::kRows);
  linear("mlp.fc2", "mlp.c_proj", v.dim, v.mlp, Split::kColumns);
}

void add_vision(List& out, const VisionSizes& v) {
  const std::string encoder = "vision_embeddings.vision_encoder.";
  out.vector("vision_model.class_embedding", encoder + "class_embedding", v.dim);
  out.matrix("vision_model.positional_embedding_vlm", encoder + "positional_embedding_vlm",
             v.positions, v.dim, Split::kNone);
  out.matrix("vision_model.patch_embedding.linear.weight", encoder + "conv1._linear.weight", v.dim,
             v.patch_values, Split::kRows);
  for (const char* kind : {"weight", "bias"}) {
    out.vector(str("vision_model.layernorm_pre.", kind), str(encoder, "ln_pre.", kind), v.dim);
    out.vector(str("vision_model.layernorm_post.", kind), str(encoder, "ln_post.", kind), v.dim);
  }
  for (int64_t i = 0; i < v.layers; ++i) add_vision_layer(out, v, i);
  const std::string adapter = "vision_embeddings.vision_adapter.mlp.";
  out.matrix("vision_model.vision_adapter.mlp.fc1.weight", adapter + "c_fc.weight", v.adapter,
             v.shuffled, Split::kRows);
  out.matrix("vision_model.vision_adapter.mlp.fc2.weight", adapter + "c_proj.weight", v.adapter,
             v.adapter, Split::kColumns);
  out.matrix("multi_modal_projector.linear_1.weight", "vision_projection.weight", v.text, v.adapter,
             Split::kRows);
}

}  // namespace

std::vector<MetaTensor> meta_tensors(const Config& config) {
  List out;
  const int64_t V = config.vocab_size;
  const int64_t D = config.hidden_size;
  out.matrix("language_model.model.embed_tokens.weight", "tok_embeddings.weight", V, D,
             Split::kRows);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) add_layer(out, config, i);
  out.vector("language_model.model.norm.weight", "norm.weight", D);
  out.matrix("language_model.lm_head.weight", "output.weight", V, D, Split::kRows);
  if (!config.multimodal_json.empty()) {
    const Json json = parse_json(config.multimodal_json, "config");
    if (json.contains("vision_config")) {
      add_vision(out, vision_sizes(json["vision_config"], config));
    }
  }
  return std::move(out.list);
}

}  // namespace corral::model
