#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint/constraint.h"
#include "engine/logprobs.h"
#include "engine/sampler.h"
#include "text/stop_strings.h"
#include "text/tokenizer.h"
#include "text/utf8_stream.h"

namespace corral::engine {

/// Why an answer ended.
enum class FinishReason {
  kStopToken,   // the model said end of text, turn or message, or the constraint allowed no more
  kStopString,  // one of GenerateOptions::stop appeared
  kLength,      // max_tokens
  kCancelled,   // the reader left
  kDeadline,    // the time that the request was given is over
  kFailed,      // the model could not go on; an error says why
  kWithheld,    // who passes the answer on found that it must not
};

/// "stop", "length", "content_filter" (kWithheld) and, where OpenAI's API has no word, "cancelled",
/// "deadline", "failed".
std::string_view finish_reason_name(FinishReason reason);

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 512;
  std::vector<std::string> stop;    // texts that end the answer; they are not part of it
  bool ignore_stop_tokens = false;  // go on to max_tokens, for measuring and comparing
  std::optional<int64_t> logprobs;  // with each token its log probability and those of the k
                                    // likeliest
  // What the answer has to follow, for the same vocabulary; null: nothing. A constrained answer
  // ends where the grammar does, with or without a stop token: ignore_stop_tokens has no effect.
  std::shared_ptr<Constraint> constraint;
  std::vector<int32_t> forced;  // take these instead of choosing: how fast is a given text?
};

/// What one more token brought.
struct Step {
  int32_t token = -1;
  bool is_stop_token = false;  // it ended the answer and is not part of it
  std::string text;            // what became certain: whole characters, no part of a stop string
  std::optional<TokenLogprobs> logprobs;
  std::string stop_string = {};  // the one that ended the answer
  // Of each layer of experts the one that worked on the pass that chose the token, if asked for.
  std::vector<int32_t> experts = {};
};

/// One answer as it grows: chooses tokens and knows when to end. It does not know where logits come
/// from, so one conversation and a server of many give the same answer.
class Generation {
 public:
  /// tokenizer may be null if only tokens are asked for: then there is no text and nothing stops
  /// before max_tokens. Throws UsageError for options out of range, and for a constraint without
  /// tokenizer.
  Generation(std::shared_ptr<const text::Tokenizer> tokenizer, const GenerateOptions& options);

  /// Chooses the token after `context` (all tokens so far, the prompt's too) from its logits [V].
  /// Not after done(). Throws Error as Sampler and Matcher do.
  Step next(std::span<const float> logits_V, std::span<const int32_t> context);
  /// Ends the answer from outside; what was held back as a possible stop string is given up.
  void end(FinishReason reason);

  bool done() const { return reason_.has_value(); }
  const Sampler& sampler() const { return sampler_; }
  /// Tokens that the answer may still have.
  int64_t room() const { return options_.max_tokens - static_cast<int64_t>(tokens_.size()); }
  /// Only when done().
  FinishReason reason() const { return *reason_; }
  /// The answer so far, without the stop token.
  const std::vector<int32_t>& tokens() const { return tokens_; }
  /// The token that ended the answer, or -1.
  int32_t stop_token() const { return stop_token_; }
  /// The stop string that ended the answer, or "".
  const std::string& stop_string() const { return stop_strings_.found(); }

 private:
  bool is_stop(int32_t token) const;
  std::string text_of(int32_t token);
  std::string rest();

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  GenerateOptions options_;
  Sampler sampler_;
  std::optional<Matcher> matcher_;
  text::Utf8Stream utf8_;
  text::StopStrings stop_strings_;
  std::vector<int32_t> tokens_;
  int32_t stop_token_ = -1;
  std::optional<FinishReason> reason_;
};

}  // namespace corral::engine
