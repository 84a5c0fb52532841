#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/gguf_types.h"
#include "io/gguf_writer.h"
#include "model/export.h"
#include "model/gguf_checkpoint.h"
#include "model/gguf_keys.h"
#include "text/byte_level.h"
#include "text/chat_template.h"
#include "text/splitter.h"
#include "text/tokenizer_files.h"

namespace corral::model {
namespace {

using io::GgufMetadata;

void add_shape(GgufMetadata& out, const Config& c) {
  out.set_u32(gguf_key::kVocabSize, c.vocab_size);
  out.set_u32(gguf_key::kContextLength, c.max_position_embeddings);
  out.set_u32(gguf_key::kEmbeddingLength, c.hidden_size);
  out.set_u32(gguf_key::kBlockCount, c.num_hidden_layers);
  out.set_u32(gguf_key::kFeedForwardLength, c.intermediate_size_mlp);
  out.set_u32(gguf_key::kExpertFeedForwardLength, c.intermediate_size);
  out.set_u32(gguf_key::kExpertCount, c.num_local_experts);
  out.set_u32(gguf_key::kExpertUsedCount, c.num_experts_per_tok);
  out.set_u32(gguf_key::kInterleaveMoe, c.interleave_moe_layer_step);
  out.set_u32(gguf_key::kHeadCount, c.num_attention_heads);
  out.set_u32(gguf_key::kHeadCountKv, c.num_key_value_heads);
  out.set_u32(gguf_key::kKeyLength, c.head_dim);
  out.set_u32(gguf_key::kValueLength, c.head_dim);
  out.set_f32(gguf_key::kNormEps, static_cast<float>(c.rms_norm_eps));
  out.set_u32(gguf_key::kRopeDimensions, c.head_dim);
  out.set_f32(gguf_key::kRopeBase, static_cast<float>(c.rope_theta));
}

void add_layers(GgufMetadata& out, const char* key, const std::vector<int64_t>& layers) {
  const std::vector<uint32_t> values(layers.begin(), layers.end());
  out.set_array(key, std::span<const uint32_t>(values));
}

// The values that llama.cpp builds into the architecture.
void add_llama4(GgufMetadata& out, const Config& c) {
  out.set_u32(gguf_key::kChunkSize, c.attention_chunk_size.value_or(0));
  out.set_f64(gguf_key::kFloorScale, c.floor_scale);
  out.set_f64(gguf_key::kAttnScale, c.attn_scale);
  out.set_bool(gguf_key::kTemperatureTuning, c.attn_temperature_tuning);
  out.set_bool(gguf_key::kQkNorm, c.use_qk_norm);
  add_layers(out, gguf_key::kNoRopeLayers, c.no_rope_layers);
  add_layers(out, gguf_key::kMoeLayers, c.moe_layers);
  if (c.rope_scaling) {
    out.set_f64(gguf_key::kRopeFactor, c.rope_scaling->factor);
    out.set_f64(gguf_key::kRopeLow, c.rope_scaling->low_freq_factor);
    out.set_f64(gguf_key::kRopeHigh, c.rope_scaling->high_freq_factor);
    out.set_u32(gguf_key::kRopeOriginal, c.rope_scaling->original_max_position_embeddings);
  }
  if (!c.eos_token_ids.empty()) add_layers(out, gguf_key::kEosIds, c.eos_token_ids);
  out.set_bool(gguf_key::kMultimodalLayout, c.multimodal_layout);
  if (!c.multimodal_json.empty()) out.set_string(gguf_key::kMultimodalJson, c.multimodal_json);
}

void add_special(GgufMetadata& out, const char* key, std::optional<text::TokenId> id) {
  if (id) out.set_u32(key, *id);
}

// llama.cpp wants as many tokens as the embedding has rows: ids behind the tokenizer's get a name
// that no text contains.
void add_vocabulary(GgufMetadata& out, const text::Tokenizer& tokenizer, int64_t vocab_size) {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  for (text::TokenId id = 0; id < vocab_size; ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (bytes.empty()) {
      tokens.push_back(str("[UNUSED", id, "]"));
      types.push_back(gguf_token_type::kUnused);
    } else {
      const bool special = tokenizer.is_special(id);
      tokens.push_back(special ? std::string(bytes) : text::to_byte_level(bytes));
      types.push_back(special ? gguf_token_type::kControl : gguf_token_type::kNormal);
    }
  }
  out.set_array(gguf_key::kTokens, std::span<const std::string>(tokens));
  out.set_array(gguf_key::kTokenTypes, std::span<const int32_t>(types));
}

std::vector<std::string> merge_lines(const text::Tokenizer& tokenizer) {
  const auto& listed = tokenizer.listed_merges();
  std::vector<std::string> lines;
  for (const text::Merge& merge :
       listed.empty() ? text::minimal_merges(tokenizer.vocabulary()) : listed) {
    lines.push_back(text::to_byte_level(tokenizer.token_bytes(merge.left)) + " " +
                    text::to_byte_level(tokenizer.token_bytes(merge.right)));
  }
  return lines;
}

void add_tokenizer(GgufMetadata& out, const text::Tokenizer& tokenizer, int64_t vocab_size) {
  out.set_string(gguf_key::kTokenizerModel, "gpt2");
  out.set_string(gguf_key::kTokenizerPre, "llama4");
  add_vocabulary(out, tokenizer, vocab_size);
  const std::vector<std::string> merges = merge_lines(tokenizer);
  out.set_array(gguf_key::kMerges, std::span<const std::string>(merges));
  out.set_bool(gguf_key::kAddBos, true);
  add_special(out, gguf_key::kBosId, tokenizer.bos_id());
  add_special(out, gguf_key::kEosId, tokenizer.eot_id() ? tokenizer.eot_id() : tokenizer.eos_id());
  add_special(out, gguf_key::kEotId, tokenizer.eot_id());
  add_special(out, gguf_key::kEomId, tokenizer.eom_id());
  add_special(out, gguf_key::kPadId, tokenizer.pad_id());
  out.set_string(gguf_key::kChatTemplate, text::kChatTemplate);
  if (tokenizer.pattern() != text::kLlama4Pattern) {
    out.set_string(gguf_key::kPattern, tokenizer.pattern());
  }
}

/// llama.cpp's name of the bulk of the weights: a mix that keeps some better is an "M".
int64_t file_type(const GgufOptions& options) {
  constexpr int64_t kQ4KM = 15;
  if (options.mix && options.mix->routed == DType::kQ4_K && options.mix->others != DType::kQ4_K) {
    return kQ4KM;
  }
  return io::gguf_file_type(options.mix ? options.mix->routed : options.dtype);
}

GgufMetadata metadata(const Config& config, const text::Tokenizer* tokenizer,
                      const GgufOptions& options) {
  GgufMetadata out;
  out.set_string(gguf_key::kArchitecture, gguf_key::kLlama4);
  out.set_string(gguf_key::kType, "model");
  out.set_string(gguf_key::kName, options.name);
  out.set_u32(gguf_key::kQuantizationVersion, 2);
  out.set_u32(gguf_key::kFileType, file_type(options));
  add_shape(out, config);
  add_llama4(out, config);
  if (tokenizer != nullptr) {
    add_tokenizer(out, *tokenizer, config.vocab_size);
  } else {
    out.set_string(gguf_key::kTokenizerModel, "none");
  }
  return out;
}

/// Tells which tensors got another type than the mix says.
void report_wider(const std::vector<ExportTensor>& tensors, const TypeMix& mix,
                  const GgufOptions& options) {
  if (!options.note) return;
  std::map<std::pair<DType, DType>, std::vector<std::string>> names;
  for (const ExportTensor& tensor : tensors) {
    const DType wanted = wanted_dtype(tensor, mix);
    const DType stored = stored_dtype(tensor, mix);
    if (stored != wanted) names[{wanted, stored}].push_back(tensor.name);
  }
  for (const auto& [types, which] : names) {
    options.note(str("rows that are not whole blocks of ", types.first, " are stored as ",
                     types.second, ": ", which.front(),
                     which.size() > 1 ? str(" and ", which.size() - 1, " more") : ""));
  }
}

/// Before anything is written: importances of another model are refused, gaps are told.
void check_importance(const std::vector<ExportTensor>& tensors, const GgufOptions& options) {
  if (options.importance == nullptr) return;
  int64_t unknown = 0;
  for (const ExportTensor& tensor : tensors) {
    if (tensor.shape.rank() < 2 || tensor.role == Role::kEmbedding) continue;
    unknown += options.importance->columns(tensor.name, 0, tensor.shape).empty() ? 1 : 0;
  }
  if (unknown > 0 && options.note) {
    options.note(str("the importances say nothing of ", unknown, " tensors"));
  }
}

/// For the rows of a part, when they are to be quantized and something is known.
std::vector<float> importance_of(const ExportTensor& tensor, int64_t part, const TypeMix& mix,
                                 const GgufOptions& options) {
  if (options.importance == nullptr || !is_block(stored_dtype(tensor, mix))) return {};
  const int64_t matrix = tensor.shape.rank() == 3 ? part : 0;
  return options.importance->columns(tensor.name, matrix, tensor.shape);
}

}  // namespace

void save_gguf(const std::filesystem::path& path, const Config& config,
               const std::vector<ExportTensor>& tensors, const text::Tokenizer* tokenizer,
               const GgufOptions& options) {
  const TypeMix mix = options.mix.value_or(TypeMix(options.dtype));
  check_importance(tensors, options);
  io::GgufWriter writer(path, metadata(config, tokenizer, options));
  report_wider(tensors, mix, options);
  for (const ExportTensor& tensor : tensors) {
    writer.declare(tensor.name, stored_dtype(tensor, mix), tensor.shape);
  }
  const auto bytes = [&](const ExportTensor& tensor) {
    return bytes_of(stored_dtype(tensor, mix), tensor.shape.numel());
  };
  write_tensors(tensors, bytes, options.progress,
                [&](const ExportTensor& tensor, int64_t part, const Tensor& values) {
                  writer.write(tensor.name, values, importance_of(tensor, part, mix, options));
                });
  writer.finish();
}

void save_gguf(const std::filesystem::path& path, const Config& config, const TextWeights& weights,
               const text::Tokenizer* tokenizer, const GgufOptions& options) {
  save_gguf(path, config, gguf_tensors(config, weights), tokenizer, options);
}

}  // namespace corral::model
