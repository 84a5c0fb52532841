#include <algorithm>

#include "base/error.h"
#include "model/gguf_checkpoint.h"
#include "model/gguf_keys.h"

namespace corral::model {
namespace {

using io::GgufFile;

// What llama.cpp's llama4 architecture takes for granted, since April 2025.
constexpr int64_t kBuiltInChunk = 8192;
constexpr double kBuiltInFloor = 8192;
constexpr double kBuiltInScale = 0.1;
constexpr int64_t kExpertsWithoutQkNorm = 128;

void read_shape(const GgufFile& file, Config& c) {
  c.hidden_size = file.get_uint(gguf_key::kEmbeddingLength);
  c.num_hidden_layers = file.get_uint(gguf_key::kBlockCount);
  c.num_attention_heads = file.get_uint(gguf_key::kHeadCount);
  c.num_key_value_heads = file.find_uint(gguf_key::kHeadCountKv).value_or(c.num_attention_heads);
  const int64_t even_share = c.num_attention_heads > 0 ? c.hidden_size / c.num_attention_heads : 0;
  c.head_dim = file.find_uint(gguf_key::kKeyLength).value_or(even_share);
  c.intermediate_size = file.get_uint(gguf_key::kExpertFeedForwardLength);
  c.intermediate_size_mlp =
      file.find_uint(gguf_key::kFeedForwardLength).value_or(c.intermediate_size);
  c.num_local_experts = file.get_uint(gguf_key::kExpertCount);
  c.num_experts_per_tok = file.find_uint(gguf_key::kExpertUsedCount).value_or(1);
  c.interleave_moe_layer_step = file.get_uint(gguf_key::kInterleaveMoe);
  c.max_position_embeddings =
      file.find_uint(gguf_key::kContextLength).value_or(c.max_position_embeddings);
  c.rms_norm_eps = file.find_float(gguf_key::kNormEps).value_or(1e-5);
  c.rope_theta = file.find_float(gguf_key::kRopeBase).value_or(500000.0);
  c.tie_word_embeddings = !file.has("output.weight");
  // The embedding's rows are the vocabulary, also in files without the key.
  const io::TensorInfo& embedding = file.info("token_embd.weight");
  if (embedding.shape.rank() != 2) {
    throw CorruptFile(
        str(file.origin(), ": token_embd.weight is ", embedding.shape, ", needs 2 axes"));
  }
  c.vocab_size = embedding.shape[0];
}

void read_llama4(const GgufFile& file, Config& c) {
  c.attention_chunk_size = file.find_uint(gguf_key::kChunkSize).value_or(kBuiltInChunk);
  if (*c.attention_chunk_size == 0) c.attention_chunk_size.reset();
  c.floor_scale = file.find_float(gguf_key::kFloorScale).value_or(kBuiltInFloor);
  c.attn_scale = file.find_float(gguf_key::kAttnScale).value_or(kBuiltInScale);
  c.attn_temperature_tuning = file.find_bool(gguf_key::kTemperatureTuning).value_or(true);
  c.use_qk_norm =
      file.find_bool(gguf_key::kQkNorm).value_or(c.num_local_experts != kExpertsWithoutQkNorm);
  c.no_rope_layers = file.find_ints(gguf_key::kNoRopeLayers).value_or(std::vector<int64_t>{});
  c.moe_layers = file.find_ints(gguf_key::kMoeLayers).value_or(std::vector<int64_t>{});
  c.no_rope_layer_interval = 4;
  if (const auto factor = file.find_float(gguf_key::kRopeFactor)) {
    RopeScalingConfig scaling;
    scaling.factor = *factor;
    scaling.low_freq_factor = file.get_float(gguf_key::kRopeLow);
    scaling.high_freq_factor = file.get_float(gguf_key::kRopeHigh);
    scaling.original_max_position_embeddings = file.get_uint(gguf_key::kRopeOriginal);
    c.rope_scaling = scaling;
  }
  if (const auto bos = file.find_uint(gguf_key::kBosId)) c.bos_token_id = *bos;
  if (const auto ids = file.find_ints(gguf_key::kEosIds)) {
    c.eos_token_ids = *ids;
  } else if (const auto eos = file.find_uint(gguf_key::kEosId)) {
    c.eos_token_ids = {*eos};
  }
  c.multimodal_layout = file.find_bool(gguf_key::kMultimodalLayout).value_or(false);
  c.multimodal_json = file.find_string(gguf_key::kMultimodalJson).value_or("");
}

}  // namespace

Config gguf_config(const GgufFile& file) {
  const std::string architecture = file.get_string(gguf_key::kArchitecture);
  if (architecture != gguf_key::kLlama4) {
    throw CorruptFile(str(file.origin(), ": architecture is '", architecture.substr(0, 40),
                          "', Corral runs llama4"));
  }
  Config config;
  read_shape(file, config);
  read_llama4(file, config);
  try {
    config.normalise();
  } catch (const UsageError& error) {
    throw CorruptFile(str(file.origin(), ": ", error.what()));
  }
  return config;
}

}  // namespace corral::model
