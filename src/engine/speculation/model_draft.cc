#include "engine/speculation/model_draft.h"

#include <utility>

#include "base/error.h"

namespace corral::engine {
namespace {

// All guesses are of one kind.
constexpr int kConfidence = 1;

void check_vocabulary(int64_t vocab_size, const text::Tokenizer* tokenizer, int64_t target_size,
                      const text::Tokenizer* target) {
  if (vocab_size != target_size) {
    throw UsageError(str("the draft model has ", vocab_size, " tokens, the model ", target_size,
                         ": it needs the same vocabulary"));
  }
  if (tokenizer == nullptr || target == nullptr) return;
  for (int32_t token = 0; token < static_cast<int32_t>(vocab_size); ++token) {
    if (tokenizer->token_bytes(token) == target->token_bytes(token)) continue;
    throw UsageError(str("token ", token,
                         " of the draft model is another than the model's: it "
                         "needs the same vocabulary"));
  }
}

}  // namespace

ModelDraft::ModelDraft(const model::TextModel& model,
                       std::shared_ptr<const text::Tokenizer> tokenizer,
                       const model::TextModel& target, const text::Tokenizer* target_tokenizer,
                       const model::ForwardOptions& options, kv::KvTypes kv_types)
    : tokenizer_(std::move(tokenizer)), session_(model, nullptr, options, 512, kv_types) {
  check_vocabulary(model.config().vocab_size, tokenizer_.get(), target.config().vocab_size,
                   target_tokenizer);
}

Draft ModelDraft::propose(std::span<const int32_t> context, const DraftLengths& wanted,
                          const Sampler& sampler) {
  Draft draft{.tokens = {}, .confidence = kConfidence};
  const int64_t length = wanted[kConfidence];
  if (length <= 0) return draft;
  Sampler chooser = sampler.fork();
  std::vector<int32_t> text(context.begin(), context.end());
  Tensor logits_V = session_.prefill(text);
  while (true) {
    const int32_t token = chooser.sample(logits_V.values<float>(), text);
    draft.tokens.push_back(token);
    text.push_back(token);
    const bool ends = tokenizer_ != nullptr && tokenizer_->is_stop(token);
    if (ends || static_cast<int64_t>(draft.tokens.size()) == length) return draft;
    logits_V = session_.decode(token);
  }
}

}  // namespace corral::engine
