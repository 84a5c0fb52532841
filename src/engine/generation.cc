#include "engine/generation.h"

#include <utility>

#include "base/error.h"

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
    case FinishReason::kWithheld:
      return "content_filter";
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
  if (options.constraint != nullptr) {
    if (tokenizer_ == nullptr) throw UsageError("a constraint needs a tokenizer");
    matcher_.emplace(options.constraint);
    if (matcher_->must_end()) reason_ = FinishReason::kStopToken;  // only the empty text follows it
  }
  if (options.max_tokens <= 0) reason_ = FinishReason::kLength;
}

bool Generation::is_stop(int32_t token) const {
  if (tokenizer_ == nullptr || !tokenizer_->is_stop(token)) return false;
  return matcher_ || !options_.ignore_stop_tokens;
}

Step Generation::next(std::span<const float> logits_V, std::span<const int32_t> context) {
  Step step;
  const MaskPtr mask = matcher_ ? matcher_->mask() : nullptr;
  step.token = tokens_.size() < options_.forced.size()
                   ? options_.forced[tokens_.size()]
                   : sampler_.sample(logits_V, context, mask.get());
  if (options_.logprobs) step.logprobs = token_logprobs(logits_V, step.token, *options_.logprobs);
  if (is_stop(step.token)) {
    step.is_stop_token = true;
    stop_token_ = step.token;
    reason_ = FinishReason::kStopToken;
    step.text = rest();
    return step;
  }
  if (matcher_) matcher_->accept(step.token);
  tokens_.push_back(step.token);
  step.text = text_of(step.token);
  if (stop_strings_.stopped()) {
    reason_ = FinishReason::kStopString;
    step.stop_string = stop_strings_.found();
  } else if (matcher_ && matcher_->must_end()) {
    reason_ = FinishReason::kStopToken;
    step.text += rest();
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
