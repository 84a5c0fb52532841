#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/generation.h"
#include "engine/request.h"
#include "serve/answer_form.h"
#include "serve/api_json.h"
#include "serve/media.h"
#include "text/chat.h"

namespace corral::serve {

/// Every number that a request may hold, with its range: the only place where numbers are read
/// from, so that a test can walk over all of them.
namespace number {
inline constexpr double kMostTokens = 1e9;
inline constexpr NumberField kTemperature{"temperature", 0, 2, false};
inline constexpr NumberField kTopP{"top_p", 0, 1, false};
inline constexpr NumberField kMinP{"min_p", 0, 1, false};
inline constexpr NumberField kTopK{"top_k", 0, kMostTokens, true};
inline constexpr NumberField kRepetitionPenalty{"repetition_penalty", 0.01, 100, false};
inline constexpr NumberField kPresencePenalty{"presence_penalty", -2, 2, false};
inline constexpr NumberField kFrequencyPenalty{"frequency_penalty", -2, 2, false};
inline constexpr NumberField kSeed{"seed", -9007199254740992.0, 9007199254740992.0, true};
inline constexpr NumberField kN{"n", 1, 16, true};
inline constexpr NumberField kBestOf{"best_of", 1, 16, true};
inline constexpr NumberField kMaxTokens{"max_tokens", 0, kMostTokens, true};
inline constexpr NumberField kMaxCompletionTokens{"max_completion_tokens", 0, kMostTokens, true};
inline constexpr NumberField kLogprobs{"logprobs", 0, 20, true};
inline constexpr NumberField kTopLogprobs{"top_logprobs", 0, 20, true};
inline constexpr NumberField kPriority{"priority", -100, 100, true};
inline constexpr NumberField kIdSlot{"id_slot", -1, 255, true};
inline constexpr NumberField kTimeout{"timeout", 0.001, 86400, false};

/// Those of completions and of chats; logprobs is a number only in completions.
inline constexpr std::array kCompletionFields = {
    kTemperature,      kTopP,    kMinP,  kTopK,   kRepetitionPenalty, kPresencePenalty,
    kFrequencyPenalty, kSeed,    kN,     kBestOf, kMaxTokens,         kLogprobs,
    kPriority,         kTimeout, kIdSlot};
inline constexpr std::array kChatFields = {
    kTemperature,      kTopP,    kMinP,  kTopK,      kRepetitionPenalty,   kPresencePenalty,
    kFrequencyPenalty, kSeed,    kN,     kMaxTokens, kMaxCompletionTokens, kTopLogprobs,
    kPriority,         kTimeout, kIdSlot};
inline constexpr NumberField kClaudeTemperature{"temperature", 0, 1, false};
inline constexpr NumberField kClaudeMaxTokens{"max_tokens", 1, kMostTokens, true};
inline constexpr NumberField kMaxOutputTokens{"max_output_tokens", 1, kMostTokens, true};
inline constexpr NumberField kDimensions{"dimensions", 1, kMostTokens, true};

inline constexpr std::array kMessagesFields = {kClaudeTemperature, kClaudeMaxTokens, kTopP, kTopK,
                                               kPriority,          kTimeout};
inline constexpr std::array kResponsesFields = {kTemperature, kTopP,     kTopK,   kMaxOutputTokens,
                                                kSeed,        kPriority, kTimeout};
inline constexpr std::array kEmbeddingFields = {kDimensions, kPriority, kTimeout};
}  // namespace number

/// What all requests for answers have.
struct AnswerRequest {
  std::string model;                  // empty: whatever is served
  engine::GenerateOptions generate;   // max_tokens is below; logprobs where they were asked for
  std::optional<int64_t> max_tokens;  // absent: as many as the context holds
  int64_t n = 1;
  bool seeded = false;  // a seed was given
  bool stream = false;
  bool stream_usage = false;
  int32_t priority = 0;
  std::optional<double> timeout_seconds;
  int64_t slot = 0;                // whose session this is
  std::optional<AnswerForm> form;  // that the answer has to follow
};

/// A text, or the tokens of one.
using InputText = std::variant<std::string, std::vector<int32_t>>;

/// /v1/completions.
struct CompletionRequest {
  AnswerRequest answer;
  std::vector<InputText> prompts;  // 1 to kMostPrompts
  bool echo = false;
};
inline constexpr size_t kMostPrompts = 64;

/// /v1/chat/completions.
struct ChatRequest {
  AnswerRequest answer;
  std::vector<text::ChatMessage> messages;
  std::vector<MediaSource> media;  // what the messages' images are, in order
  std::string tools;            // a JSON array of their descriptions; empty: none, or none wanted
  bool expert_routing = false;  // with each token, which experts worked on it
  std::optional<std::string> prediction;  // what much of the answer may be
};

/// /v1/embeddings.
struct EmbeddingRequest {
  AnswerRequest answer;
  std::vector<InputText> inputs;  // 1 to kMostInputs
  engine::Pooling pooling = engine::Pooling::kMean;
  bool base64 = false;
  std::optional<int64_t> dimensions;
};
inline constexpr size_t kMostInputs = 2048;

/// Read and check a body. Throw ApiError 400 naming the member that is wrong, and for what this
/// server does not do (rather than to answer as if it had).
CompletionRequest parse_completion(std::string_view body);
ChatRequest parse_chat(std::string_view body);
EmbeddingRequest parse_embedding(std::string_view body);
/// The same for a body that was read already.
ChatRequest read_chat(OrderedJson body);

}  // namespace corral::serve
