#include "model/gguf_names.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"

namespace corral::model {
namespace {

struct Names {
  std::string_view hf;  // behind "model.layers.N."
  std::string_view gguf;
};

constexpr std::array<Names, 15> kLayerNames = {{
    {"input_layernorm.weight", "attn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"feed_forward.gate_proj.weight", "ffn_gate.weight"},
    {"feed_forward.up_proj.weight", "ffn_up.weight"},
    {"feed_forward.down_proj.weight", "ffn_down.weight"},
    {"feed_forward.router.weight", "ffn_gate_inp.weight"},
    {"feed_forward.experts.gate_up_proj", "ffn_gate_exps.weight"},
    {"feed_forward.experts.down_proj", "ffn_down_exps.weight"},
    {"feed_forward.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight"},
    {"feed_forward.shared_expert.up_proj.weight", "ffn_up_shexp.weight"},
    {"feed_forward.shared_expert.down_proj.weight", "ffn_down_shexp.weight"},
}};

std::string_view layer_name(const ParameterInfo& info) {
  const std::string_view name = info.name;
  const size_t prefix = name.find("model.layers.");
  const size_t number = prefix + std::string_view("model.layers.").size();
  const size_t dot = prefix == name.npos ? name.npos : name.find('.', number);
  const auto* at = std::find_if(kLayerNames.begin(), kLayerNames.end(), [&](const Names& names) {
    return dot != name.npos && name.substr(dot + 1) == names.hf;
  });
  if (at == kLayerNames.end()) throw Error(str("no GGUF name for parameter ", name));
  return at->gguf;
}

}  // namespace

std::vector<GgufTensor> gguf_form(const ParameterInfo& info) {
  if (info.role == Role::kEmbedding) return {{"token_embd.weight", info.shape}};
  if (info.role == Role::kReadout) return {{"output.weight", info.shape}};
  if (info.layer < 0) return {{"output_norm.weight", info.shape}};
  const std::string prefix = str("blk.", info.layer, ".");
  const std::string_view name = layer_name(info);
  if (info.shape.rank() < 3) return {{prefix + std::string(name), info.shape}};
  const int64_t E = info.shape[0];
  const int64_t in = info.shape[1];
  const int64_t out = info.shape[2];
  if (info.role == Role::kMlpOut) return {{prefix + std::string(name), {E, out, in}}};
  return {{prefix + "ffn_gate_exps.weight", {E, out / 2, in}},
          {prefix + "ffn_up_exps.weight", {E, out / 2, in}}};
}

}  // namespace corral::model
