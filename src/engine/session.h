#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/generation.h"
#include "engine/prompt.h"
#include "engine/speculation/speculator.h"
#include "kv/kv_cache.h"
#include "model/text_model.h"
#include "text/tokenizer.h"

namespace corral::engine {

struct Answer {
  std::vector<int32_t> tokens;  // without the stop token
  int32_t stop_token = -1;      // the token that ended it, if one did
  std::string text;
  FinishReason reason = FinishReason::kLength;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the cache
  double prefill_seconds = 0;
  double decode_seconds = 0;
  SpeculationStats speculation;
};

/// Tokens of a prompt that are computed at once, if nobody says otherwise: so many that the experts
/// of a mixture have some full tiles of rows each, and few beside what the weights take of memory.
inline constexpr int64_t kPieceTokens = 1024;

/// One conversation with a model: a sequence in a KV cache of its own. What the cache already holds
/// of a prompt is not computed again. Not thread-safe.
class Session {
 public:
  /// tokenizer may be null if only tokens are asked for. piece_tokens: most tokens of a prompt fed
  /// at once; the result does not depend on it. kv_types: what the cache stores.
  Session(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
          const model::ForwardOptions& options = {}, int64_t piece_tokens = kPieceTokens,
          kv::KvTypes kv_types = {});

  /// Makes the cache hold exactly `tokens` (at least one) and returns the logits after the last,
  /// [V]. Reuses the longest prefix that the cache can still restore.
  Tensor prefill(std::span<const int32_t> tokens);
  Tensor prefill(const Prompt& prompt);
  /// Appends one token; returns the logits after it, [V].
  Tensor decode(int32_t token);

  /// Answers the prompt. on_text receives whole characters as they become certain (never part of a
  /// stop string) and returns false to cancel. With a speculator the answer is the same, and comes
  /// sooner where drafts are right.
  Answer generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                  const std::function<bool(std::string_view)>& on_text = nullptr,
                  Speculator* speculator = nullptr);
  Answer generate(const Prompt& prompt, const GenerateOptions& options,
                  const std::function<bool(std::string_view)>& on_text = nullptr,
                  Speculator* speculator = nullptr);

  const std::vector<int32_t>& tokens() const { return tokens_; }
  /// Tokens of the last prefill() that were found in the cache.
  int64_t reused_tokens() const { return reused_; }

 private:
  Tensor feed(const Prompt& prompt, std::span<const uint64_t> identities);
  Tensor feed_draft(int32_t token, const Draft& draft);
  Draft draft_after(int32_t token, const Generation& generation, Speculator& speculator) const;
  void append(int32_t token);
  void rewind(std::span<const uint64_t> identities);

  const model::TextModel& model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  model::ForwardOptions options_;
  int64_t piece_tokens_;
  kv::KvCache cache_;
  int64_t sequence_;
  std::vector<int32_t> tokens_;       // what the cache holds
  std::vector<uint64_t> identities_;  // of these tokens
  int64_t reused_ = 0;
};

}  // namespace corral::engine
