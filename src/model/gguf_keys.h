#pragma once

#include <cstdint>

namespace corral::model::gguf_key {

// Keys of llama.cpp's llama4 architecture.
inline constexpr const char* kLlama4 = "llama4";
inline constexpr const char* kArchitecture = "general.architecture";
inline constexpr const char* kType = "general.type";
inline constexpr const char* kName = "general.name";
inline constexpr const char* kQuantizationVersion = "general.quantization_version";
inline constexpr const char* kFileType = "general.file_type";
inline constexpr const char* kVocabSize = "llama4.vocab_size";
inline constexpr const char* kContextLength = "llama4.context_length";
inline constexpr const char* kEmbeddingLength = "llama4.embedding_length";
inline constexpr const char* kBlockCount = "llama4.block_count";
inline constexpr const char* kFeedForwardLength = "llama4.feed_forward_length";
inline constexpr const char* kExpertFeedForwardLength = "llama4.expert_feed_forward_length";
inline constexpr const char* kExpertCount = "llama4.expert_count";
inline constexpr const char* kExpertUsedCount = "llama4.expert_used_count";
inline constexpr const char* kInterleaveMoe = "llama4.interleave_moe_layer_step";
inline constexpr const char* kHeadCount = "llama4.attention.head_count";
inline constexpr const char* kHeadCountKv = "llama4.attention.head_count_kv";
inline constexpr const char* kKeyLength = "llama4.attention.key_length";
inline constexpr const char* kValueLength = "llama4.attention.value_length";
inline constexpr const char* kNormEps = "llama4.attention.layer_norm_rms_epsilon";
inline constexpr const char* kRopeDimensions = "llama4.rope.dimension_count";
inline constexpr const char* kRopeBase = "llama4.rope.freq_base";

// The tokenizer.
inline constexpr const char* kTokenizerModel = "tokenizer.ggml.model";
inline constexpr const char* kTokenizerPre = "tokenizer.ggml.pre";
inline constexpr const char* kTokens = "tokenizer.ggml.tokens";
inline constexpr const char* kTokenTypes = "tokenizer.ggml.token_type";
inline constexpr const char* kMerges = "tokenizer.ggml.merges";
inline constexpr const char* kAddBos = "tokenizer.ggml.add_bos_token";
inline constexpr const char* kBosId = "tokenizer.ggml.bos_token_id";
inline constexpr const char* kEosId = "tokenizer.ggml.eos_token_id";
inline constexpr const char* kEotId = "tokenizer.ggml.eot_token_id";
inline constexpr const char* kEomId = "tokenizer.ggml.eom_token_id";
inline constexpr const char* kPadId = "tokenizer.ggml.padding_token_id";
inline constexpr const char* kChatTemplate = "tokenizer.chat_template";

// What llama.cpp builds in and a model of another shape has to say (docs/formats/gguf.md).
inline constexpr const char* kChunkSize = "corral.attention.chunk_size";  // 0: no chunks
inline constexpr const char* kFloorScale = "corral.attention.floor_scale";
inline constexpr const char* kAttnScale = "corral.attention.attn_scale";
inline constexpr const char* kTemperatureTuning = "corral.attention.temperature_tuning";
inline constexpr const char* kQkNorm = "corral.attention.qk_norm";
inline constexpr const char* kNoRopeLayers = "corral.no_rope_layers";
inline constexpr const char* kMoeLayers = "corral.moe_layers";
inline constexpr const char* kRopeFactor = "corral.rope.scaling.factor";
inline constexpr const char* kRopeLow = "corral.rope.scaling.low_freq_factor";
inline constexpr const char* kRopeHigh = "corral.rope.scaling.high_freq_factor";
inline constexpr const char* kRopeOriginal = "corral.rope.scaling.original_context_length";
inline constexpr const char* kEosIds = "corral.eos_token_ids";
inline constexpr const char* kMultimodalLayout = "corral.multimodal_layout";
inline constexpr const char* kMultimodalJson = "corral.multimodal_config";
inline constexpr const char* kPattern = "corral.tokenizer.pattern";

// llama.cpp's projector files (architecture clip).
inline constexpr const char* kClip = "clip";
inline constexpr const char* kClipHasVision = "clip.has_vision_encoder";
inline constexpr const char* kClipProjector = "clip.projector_type";
inline constexpr const char* kClipVisionProjector = "clip.vision.projector_type";
inline constexpr const char* kClipUseGelu = "clip.use_gelu";
inline constexpr const char* kClipImageSize = "clip.vision.image_size";
inline constexpr const char* kClipPatchSize = "clip.vision.patch_size";
inline constexpr const char* kClipEmbedding = "clip.vision.embedding_length";
inline constexpr const char* kClipFeedForward = "clip.vision.feed_forward_length";
inline constexpr const char* kClipProjection = "clip.vision.projection_dim";
inline constexpr const char* kClipBlocks = "clip.vision.block_count";
inline constexpr const char* kClipHeads = "clip.vision.attention.head_count";
inline constexpr const char* kClipNormEps = "clip.vision.attention.layer_norm_epsilon";
inline constexpr const char* kClipScale = "clip.vision.projector.scale_factor";
inline constexpr const char* kClipMean = "clip.vision.image_mean";
inline constexpr const char* kClipStd = "clip.vision.image_std";
inline constexpr const char* kVisionRopeTheta = "corral.vision.rope_theta";

}  // namespace corral::model::gguf_key

// Values of kTokenTypes, of all that the format has.
namespace corral::model::gguf_token_type {

inline constexpr int32_t kNormal = 1;
inline constexpr int32_t kControl = 3;
inline constexpr int32_t kUserDefined = 4;
inline constexpr int32_t kUnused = 5;

}  // namespace corral::model::gguf_token_type
