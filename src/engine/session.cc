#include "engine/session.h"

#include <algorithm>
#include <utility>

#include "autograd/tape.h"
#include "base/clock.h"
#include "base/error.h"

namespace corral::engine {

Session::Session(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
                 const model::ForwardOptions& options, int64_t piece_tokens, kv::KvTypes kv_types)
    : model_(model),
      tokenizer_(std::move(tokenizer)),
      options_(options),
      piece_tokens_(piece_tokens),
      cache_(model.kv_layout(kv_types), model.device()),
      sequence_(cache_.create()) {
  if (piece_tokens < 1)
    throw UsageError(str("piece of ", piece_tokens, " tokens, needs at least 1"));
  options_.cache = &cache_;
}

// Feeds what the cache does not hold of the prompt.
Tensor Session::feed(const Prompt& prompt, std::span<const uint64_t> identities) {
  const autograd::NoGrad no_grad;  // the model may be one in training
  const auto total = static_cast<int64_t>(prompt.tokens.size());
  Tensor last_D;  // of the last piece
  for (auto begin = static_cast<int64_t>(tokens_.size()); begin < total;) {
    const int64_t end = std::min(begin + piece_tokens_, total);
    const kv::Batch batch = prompt_batch(prompt, identities, begin, end, sequence_);
    std::vector<int64_t> wanted;
    if (end == total) wanted.push_back(batch.size() - 1);
    last_D = model_.hidden_of(batch, wanted, options_);
    tokens_.insert(tokens_.end(), batch.tokens.begin(), batch.tokens.end());
    identities_.insert(identities_.end(), identities.begin() + begin, identities.begin() + end);
    begin = end;
  }
  return model_.logits(last_D, options_).view({model_.config().vocab_size});
}

// Leaves in the cache a prefix of the prompt shorter than all of it: the last token is always fed,
// since its logits are wanted.
void Session::rewind(std::span<const uint64_t> identities) {
  const auto differs =
      std::mismatch(identities_.begin(), identities_.end(), identities.begin(), identities.end());
  auto keep = static_cast<int64_t>(differs.first - identities_.begin());
  keep = std::min(keep, static_cast<int64_t>(identities.size()) - 1);
  keep = cache_.restorable(sequence_, keep);
  if (keep < static_cast<int64_t>(tokens_.size())) cache_.truncate(sequence_, keep);
  tokens_.resize(static_cast<size_t>(keep));
  identities_.resize(static_cast<size_t>(keep));
  reused_ = keep;
}

Tensor Session::prefill(std::span<const int32_t> tokens) {
  return prefill(Prompt{.tokens = {tokens.begin(), tokens.end()}});
}

Tensor Session::prefill(const Prompt& prompt) {
  if (prompt.tokens.empty()) {
    throw UsageError("an empty prompt: the model needs at least one token");
  }
  const std::vector<uint64_t> identities = prompt.identities();
  rewind(identities);
  return feed(prompt, identities);
}

void Session::append(int32_t token) {
  tokens_.push_back(token);
  identities_.push_back(static_cast<uint32_t>(token));
}

Tensor Session::decode(int32_t token) {
  return feed_draft(token, {}).view({model_.config().vocab_size});
}

// Appends a token, and feeds a draft behind it that is not part of tokens() yet: its logits follow
// those of the token, [1 + draft, V].
Tensor Session::feed_draft(int32_t token, const Draft& draft) {
  const autograd::NoGrad no_grad;
  std::vector<int32_t> fed = {token};
  fed.insert(fed.end(), draft.tokens.begin(), draft.tokens.end());
  kv::Batch batch;
  batch.append(fed, static_cast<int64_t>(tokens_.size()), sequence_);
  const Tensor hidden_TD = model_.hidden(batch, options_);
  append(token);
  return model_.logits(hidden_TD, options_);
}

// No longer than the answer may become, and than the cache can take back.
Draft Session::draft_after(int32_t token, const Generation& generation,
                           Speculator& speculator) const {
  std::vector<int32_t> context = tokens_;
  context.push_back(token);
  const DraftText text{.tokens = context,
                       .room = std::min(generation.room(), cache_.revocable(sequence_)) - 1,
                       .sampler = &generation.sampler()};
  return std::move(speculator.draft({&text, 1}, text.room).front());
}

Answer Session::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                         const std::function<bool(std::string_view)>& on_text,
                         Speculator* speculator) {
  return generate(Prompt{.tokens = {prompt.begin(), prompt.end()}}, options, on_text, speculator);
}

Answer Session::generate(const Prompt& prompt, const GenerateOptions& options,
                         const std::function<bool(std::string_view)>& on_text,
                         Speculator* speculator) {
  Generation generation(tokenizer_, options);
  Answer answer;
  answer.prompt_tokens = static_cast<int64_t>(prompt.tokens.size());

  auto start = Clock::now();
  Tensor logits_NV = prefill(prompt);
  answer.cached_tokens = reused_;
  answer.prefill_seconds = seconds_since(start);
  start = Clock::now();
  const auto V = static_cast<size_t>(model_.config().vocab_size);
  const SpeculationStats before = speculator != nullptr ? speculator->stats() : SpeculationStats{};
  Draft draft;
  bool decoding = false;  // the logits are the prompt's
  while (!generation.done()) {
    // The model's choices, as long as the draft says the same.
    size_t accepted = 0;
    int32_t token = -1;
    while (true) {
      const Step step =
          generation.next(logits_NV.values<float>().subspan(accepted * V, V), tokens_);
      answer.text += step.text;
      if (!step.text.empty() && on_text != nullptr && !on_text(step.text)) {
        generation.end(FinishReason::kCancelled);
      }
      token = step.token;
      if (generation.done() || accepted == draft.tokens.size() || draft.tokens[accepted] != token) {
        break;
      }
      append(token);
      ++accepted;
    }
    if (accepted < draft.tokens.size()) {
      cache_.truncate(sequence_, static_cast<int64_t>(tokens_.size()));
    }
    if (speculator != nullptr && decoding) {
      const DraftPolicy::Result result{.confidence = draft.confidence,
                                       .drafted = std::ssize(draft.tokens),
                                       .accepted = static_cast<int64_t>(accepted)};
      speculator->record({&result, 1});
    }
    if (generation.done()) break;
    decoding = true;
    if (speculator != nullptr) draft = draft_after(token, generation, *speculator);
    logits_NV = feed_draft(token, draft);
  }
  answer.decode_seconds = seconds_since(start);
  if (speculator != nullptr) answer.speculation = speculator->stats() - before;
  answer.tokens = generation.tokens();
  answer.stop_token = generation.stop_token();
  answer.reason = generation.reason();
  return answer;
}

}  // namespace corral::engine
