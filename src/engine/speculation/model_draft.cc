#include "engine/speculation/model_draft.h"

#include <algorithm>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "engine/speculation/draft_policy.h"

namespace corral::engine {
namespace {

// All guesses are of one kind.
constexpr int kConfidence = 1;
// Tokens that are fed with the draft; more are read before.
constexpr int64_t kFewTokens = 64;

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
                       const Options& options)
    : model_(model),
      tokenizer_(std::move(tokenizer)),
      forward_(options.forward),
      piece_tokens_(options.piece_tokens),
      cache_(model.kv_layout(options.kv_types), model.device(), options.kv_bytes) {
  check_vocabulary(model.config().vocab_size, tokenizer_.get(), target.config().vocab_size,
                   target_tokenizer);
  forward_.cache = &cache_;
}

std::vector<int> ModelDraft::look(std::span<const DraftText> texts) {
  // A text that never fits is not worth the others' memory.
  std::vector<int> confidences;
  for (const DraftText& text : texts) {
    const auto length = std::ssize(text.tokens) + DraftPolicy::kMost;
    const bool fits = cache_.most_bytes(length, piece_tokens_) <= cache_.max_bytes() &&
                      length <= model_.config().max_position_embeddings;
    confidences.push_back(fits ? kConfidence : kNoGuess);
  }
  return confidences;
}

void ModelDraft::forget(int64_t key) {
  const auto read = reads_.find(key);
  if (read == reads_.end()) return;
  cache_.release(read->second.sequence);
  reads_.erase(read);
}

bool ModelDraft::forget_oldest() {
  const auto oldest =
      std::min_element(reads_.begin(), reads_.end(),
                       [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  if (oldest == reads_.end() || oldest->second.used == proposals_) return false;
  forget(oldest->first);
  return true;
}

bool ModelDraft::make_room(const kv::Batch& batch) {
  while (!cache_.has_room_for(batch)) {
    if (!forget_oldest()) return false;
  }
  return true;
}

// Leaves in the cache what it can of the text's beginning, without its last token: that is fed for
// its logits.
ModelDraft::Read& ModelDraft::rewind(const DraftText& text) {
  Read& read = reads_[text.key];
  read.used = proposals_;
  if (read.sequence < 0) read.sequence = cache_.create();
  const auto differs = std::mismatch(read.tokens.begin(), read.tokens.end(), text.tokens.begin(),
                                     text.tokens.end() - 1);
  int64_t keep = differs.first - read.tokens.begin();
  if (keep == std::ssize(read.tokens)) return read;
  keep = cache_.restorable(read.sequence, keep);
  cache_.truncate(read.sequence, keep);
  read.tokens.resize(static_cast<size_t>(keep));
  return read;
}

// Reads on, within the budget of tokens. True when little is left.
bool ModelDraft::catch_up(Read& read, std::span<const int32_t> text, int64_t& budget) {
  const auto known = std::ssize(read.tokens);
  const int64_t left = std::ssize(text) - known;
  if (left <= kFewTokens) return true;
  const int64_t length = std::min(left - 1, budget);
  if (length == 0) return false;
  kv::Batch batch;
  batch.append(text.subspan(static_cast<size_t>(known), static_cast<size_t>(length)), known,
               read.sequence);
  if (!make_room(batch)) return false;
  static_cast<void>(model_.hidden_of(batch, {}, forward_));
  read.tokens.insert(read.tokens.end(), batch.tokens.begin(), batch.tokens.end());
  budget -= length;
  return left - length <= kFewTokens;
}

/// A text whose draft grows.
struct ModelDraft::Line {
  size_t index;  // among the texts
  Read* read;
  Sampler chooser;
  std::vector<int32_t> text;  // with the draft
  int64_t left;               // tokens to guess
};

// Feeds what the cache does not hold of each text. Returns the logits after them, [lines, V]; of
// none when memory is too short.
Tensor ModelDraft::feed(const std::vector<Line>& lines) {
  kv::Batch batch;
  std::vector<int64_t> last_rows;
  for (const Line& line : lines) {
    const auto known = std::ssize(line.read->tokens);
    batch.append(std::span(line.text).subspan(static_cast<size_t>(known)), known,
                 line.read->sequence);
    last_rows.push_back(batch.size() - 1);
  }
  if (!make_room(batch)) return {};
  const Tensor hidden_ND = model_.hidden_of(batch, last_rows, forward_);
  for (const Line& line : lines) line.read->tokens = line.text;
  return model_.logits(hidden_ND, forward_);
}

void ModelDraft::grow(Line& line, std::span<const float> logits_V, std::vector<int32_t>& draft) {
  int32_t token = -1;
  try {
    token = line.chooser.sample(logits_V, line.text);
  } catch (const Error&) {
    line.left = 0;  // no number: only the guess is lost
    return;
  }
  draft.push_back(token);
  line.text.push_back(token);
  --line.left;
  // What is fed behind the text must be possible to take back.
  const bool ends = tokenizer_ != nullptr && tokenizer_->is_stop(token);
  if (ends || cache_.revocable(line.read->sequence) <= 1) line.left = 0;
}

DraftSource::Proposal ModelDraft::propose(std::span<const DraftText> texts,
                                          std::span<const int64_t> lengths) {
  const autograd::NoGrad no_grad;
  ++proposals_;
  Proposal proposal{.tokens = std::vector<std::vector<int32_t>>(texts.size())};
  std::vector<Line> lines;
  int64_t budget = piece_tokens_;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (lengths[i] == 0) continue;
    Read& read = rewind(texts[i]);
    if (!catch_up(read, texts[i].tokens, budget)) continue;
    lines.push_back({.index = i,
                     .read = &read,
                     .chooser = texts[i].sampler->fork(),
                     .text = {texts[i].tokens.begin(), texts[i].tokens.end()},
                     .left = lengths[i]});
  }
  proposal.caught_up = budget < piece_tokens_;
  while (!lines.empty()) {
    const Tensor logits_NV = feed(lines);
    if (!logits_NV.defined()) break;
    const auto V = static_cast<size_t>(logits_NV.dim(1));
    for (size_t i = 0; i < lines.size(); ++i) {
      grow(lines[i], logits_NV.values<float>().subspan(i * V, V), proposal.tokens[lines[i].index]);
    }
    std::erase_if(lines, [](const Line& line) { return line.left == 0; });
  }
  return proposal;
}

}  // namespace corral::engine
