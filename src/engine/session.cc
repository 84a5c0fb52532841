#include "engine/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "text/stop_strings.h"
#include "text/utf8_stream.h"

namespace corral::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Turns tokens into text that may be shown: whole characters, nothing that could become a stop
// string.
class TextOutput {
 public:
  TextOutput(const text::Tokenizer* tokenizer, const std::vector<std::string>& stop)
      : tokenizer_(tokenizer), stop_(stop) {}

  // The text that became certain; sets found() when a stop string is complete.
  std::string add(int32_t token) {
    if (tokenizer_ == nullptr) return "";
    return keep(stop_.push(utf8_.push(tokenizer_->token_bytes(token))));
  }
  std::string finish() {
    if (tokenizer_ == nullptr || stop_.stopped()) return "";
    std::string rest = stop_.push(utf8_.finish());
    if (!stop_.stopped()) rest += stop_.finish();
    return keep(std::move(rest));
  }
  bool found() const { return stop_.stopped(); }
  std::string take() { return std::move(text_); }

 private:
  std::string keep(std::string part) {
    text_ += part;
    return part;
  }

  const text::Tokenizer* tokenizer_;
  text::Utf8Stream utf8_;
  text::StopStrings stop_;
  std::string text_;
};

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStopToken:
    case FinishReason::kStopString:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      break;
  }
  return "cancelled";
}

Session::Session(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
                 const model::ForwardOptions& options, int64_t piece_tokens)
    : model_(model),
      tokenizer_(std::move(tokenizer)),
      options_(options),
      piece_tokens_(piece_tokens),
      cache_(model.kv_layout(), model.device()),
      sequence_(cache_.create()) {
  if (piece_tokens < 1)
    throw UsageError(str("piece of ", piece_tokens, " tokens, needs at least 1"));
  options_.cache = &cache_;
}

Tensor Session::feed(std::span<const int32_t> tokens) {
  const autograd::NoGrad no_grad;  // the model may be one in training
  Tensor last_D;
  for (size_t begin = 0; begin < tokens.size();) {
    const size_t length = std::min(static_cast<size_t>(piece_tokens_), tokens.size() - begin);
    kv::Batch batch;
    batch.append(tokens.subspan(begin, length), static_cast<int64_t>(tokens_.size()), sequence_);
    const Tensor hidden_TD = model_.hidden(batch, options_);
    tokens_.insert(tokens_.end(), batch.tokens.begin(), batch.tokens.end());
    last_D = hidden_TD.rows(hidden_TD.dim(0) - 1, hidden_TD.dim(0));
    begin += length;
  }
  const Tensor logits = model_.logits(last_D, options_);
  return logits.view({logits.numel()});
}

// Leaves in the cache a prefix of `tokens` shorter than all of them: the last one is always fed,
// since its logits are wanted.
void Session::rewind(std::span<const int32_t> tokens) {
  const auto differs = std::mismatch(tokens_.begin(), tokens_.end(), tokens.begin(), tokens.end());
  auto keep = static_cast<int64_t>(differs.first - tokens_.begin());
  keep = std::min(keep, static_cast<int64_t>(tokens.size()) - 1);
  keep = cache_.restorable(sequence_, keep);
  if (keep < static_cast<int64_t>(tokens_.size())) cache_.truncate(sequence_, keep);
  tokens_.resize(static_cast<size_t>(keep));
  reused_ = keep;
}

Tensor Session::prefill(std::span<const int32_t> tokens) {
  if (tokens.empty()) throw UsageError("an empty prompt: the model needs at least one token");
  rewind(tokens);
  return feed(tokens.subspan(static_cast<size_t>(reused_)));
}

Tensor Session::decode(int32_t token) { return feed(std::span<const int32_t>(&token, 1)); }

Answer Session::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                         const std::function<bool(std::string_view)>& on_text) {
  Sampler sampler(options.sampling);
  TextOutput output(tokenizer_.get(), options.stop);
  Answer answer;
  answer.prompt_tokens = static_cast<int64_t>(prompt.size());
  const auto show = [&](const std::string& part) {
    return part.empty() || on_text == nullptr || on_text(part);
  };

  auto start = Clock::now();
  Tensor logits = prefill(prompt);
  answer.cached_tokens = reused_;
  answer.prefill_seconds = seconds_since(start);
  start = Clock::now();
  while (static_cast<int64_t>(answer.tokens.size()) < options.max_tokens) {
    const int32_t token = sampler.sample(logits.values<float>(), tokens_);
    if (!options.ignore_stop_tokens && tokenizer_ != nullptr && tokenizer_->is_stop(token)) {
      answer.reason = FinishReason::kStopToken;
      answer.stop_token = token;
      break;
    }
    answer.tokens.push_back(token);
    if (!show(output.add(token))) {
      answer.reason = FinishReason::kCancelled;
      break;
    }
    if (output.found()) {
      answer.reason = FinishReason::kStopString;
      break;
    }
    if (static_cast<int64_t>(answer.tokens.size()) < options.max_tokens) logits = decode(token);
  }
  answer.decode_seconds = seconds_since(start);
  show(output.finish());
  answer.text = output.take();
  return answer;
}

}  // namespace corral::engine
