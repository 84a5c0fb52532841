#include "engine/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"

namespace corral::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

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
  Generation generation(tokenizer_, options);
  Answer answer;
  answer.prompt_tokens = static_cast<int64_t>(prompt.size());

  auto start = Clock::now();
  Tensor logits = prefill(prompt);
  answer.cached_tokens = reused_;
  answer.prefill_seconds = seconds_since(start);
  start = Clock::now();
  while (!generation.done()) {
    const Step step = generation.next(logits.values<float>(), tokens_);
    answer.text += step.text;
    if (!step.text.empty() && on_text != nullptr && !on_text(step.text)) {
      generation.end(FinishReason::kCancelled);
    }
    if (!generation.done()) logits = decode(step.token);
  }
  answer.decode_seconds = seconds_since(start);
  answer.tokens = generation.tokens();
  answer.stop_token = generation.stop_token();
  answer.reason = generation.reason();
  return answer;
}

}  // namespace corral::engine
