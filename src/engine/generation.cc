#include "engine/generation.h"

#include <utility>

namespace corral::engine {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStopToken:
    case FinishReason::kStopString:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kFailed:
      break;
  }
  return "failed";
}

Generation::Generation(std::shared_ptr<const text::Tokenizer> tokenizer,
                       const GenerateOptions& options)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      sampler_(options.sampling),
      stop_strings_(options.stop) {
  if (options.max_tokens <= 0) reason_ = FinishReason::kLength;
}

Step Generation::next(std::span<const float> logits_V, std::span<const int32_t> context) {
  Step step;
  step.token = sampler_.sample(logits_V, context);
  if (options_.logprobs) step.logprobs = token_logprobs(logits_V, step.token, *options_.logprobs);
  if (!options_.ignore_stop_tokens && tokenizer_ != nullptr && tokenizer_->is_stop(step.token)) {
    step.is_stop_token = true;
    stop_token_ = step.token;
    reason_ = FinishReason::kStopToken;
    step.text = rest();
    return step;
  }
  tokens_.push_back(step.token);
  step.text = text_of(step.token);
  if (stop_strings_.stopped()) {
    reason_ = FinishReason::kStopString;
    step.stop_string = stop_strings_.found();
  } else if (static_cast<int64_t>(tokens_.size()) >= options_.max_tokens) {
    reason_ = FinishReason::kLength;
    step.text += rest();
  }
  return step;
}

void Generation::end(FinishReason reason) {
  if (!done()) reason_ = reason;
}

std::string Generation::text_of(int32_t token) {
  if (tokenizer_ == nullptr) return "";
  return stop_strings_.push(utf8_.push(tokenizer_->token_bytes(token)));
}

// What was held back when no more text comes. Half a character may still complete a stop string:
// then the answer is cut there, and the reason stays what ended it.
std::string Generation::rest() {
  std::string text = stop_strings_.push(utf8_.finish());
  if (!stop_strings_.stopped()) text += stop_strings_.finish();
  return text;
}

}  // namespace corral::engine
