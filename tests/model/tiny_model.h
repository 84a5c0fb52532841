#pragma once

#include <vector>

#include "model/initialise.h"
#include "model/presets.h"
#include "model/text_model.h"
#include "model/vision/vision_config.h"
#include "text/tokenizer.h"

namespace corral::test {

/// A small random model that has every kind of layer: RoPE and NoPE, dense and with experts.
inline model::Config tiny_config(bool scout = true) {
  model::Config c = model::find_preset("tiny").config;
  c.vocab_size = 320;
  c.num_local_experts = 4;
  c.attention_chunk_size = 16;
  c.floor_scale = 8;
  c.use_qk_norm = scout;
  if (scout) {
    c.rope_scaling = model::RopeScalingConfig{};
  } else {
    c.interleave_moe_layer_step = 2;
    c.moe_layers.clear();
    c.attn_temperature_tuning = false;
  }
  c.normalise();
  return c;
}

/// The same with rows of 256 values and more everywhere: whole blocks of every type.
inline model::Config block_config() {
  model::Config c = tiny_config();
  c.hidden_size = 256;
  c.intermediate_size = 256;
  c.intermediate_size_mlp = 512;
  c.num_attention_heads = 8;
  c.num_key_value_heads = 2;
  c.head_dim = 32;
  c.normalise();
  return c;
}

/// A small tower that sees squares of 8 pixels, for a text model of this config.
inline model::VisionConfig tiny_vision(const model::Config& text, int64_t layers = 1) {
  model::VisionConfig c;
  c.hidden_size = 8;
  c.num_hidden_layers = layers;
  c.num_attention_heads = 2;
  c.intermediate_size = 32;
  c.image_size = 8;
  c.patch_size = 2;
  c.projector_input_dim = c.projector_output_dim = c.vision_output_dim = 12;
  c.text_hidden_size = text.hidden_size;
  return c;
}

inline model::TextModel tiny_model(const model::Config& config, const DevicePtr& device,
                                   uint64_t seed = 1) {
  return model::TextModel::trainable(config, model::initialise(config, seed, device));
}

/// The bytes as tokens 0 to 255 and the special tokens of a chat.
inline std::shared_ptr<const text::Tokenizer> byte_tokenizer() {
  text::TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.emplace_back(1, static_cast<char>(byte));
  spec.pattern = std::string(text::kLlama4Pattern);
  text::TokenId next = 256;
  for (const auto name :
       {text::special::kBeginOfText, text::special::kEndOfText, text::special::kHeaderStart,
        text::special::kHeaderEnd, text::special::kEndOfMessage, text::special::kEndOfTurn,
        text::special::kPythonStart, text::special::kPythonEnd}) {
    spec.specials.emplace(std::string(name), next++);
  }
  return text::Tokenizer::create(spec);
}

inline std::vector<int32_t> some_tokens(int64_t count, int64_t vocab_size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>((i * 7919 + i * i * 31 + 5) % vocab_size));
  }
  return tokens;
}

/// The logits [40, V] of `some_tokens`.
inline Tensor logits_of(const model::TextModel& model) {
  kv::Batch batch;
  batch.append(some_tokens(40, model.config().vocab_size), 0);
  return model.logits(model.hidden(batch));
}

}  // namespace corral::test
