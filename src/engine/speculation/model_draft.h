#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/speculation/draft.h"
#include "kv/kv_cache.h"
#include "model/text_model.h"
#include "text/tokenizer.h"

namespace corral::engine {

/// Guesses with a smaller model of the same vocabulary, for all texts in one batch. It draws with
/// the random numbers that the sampler will use, so where both models see the same distribution
/// they choose the same token, also at a temperature.
///
/// What it has not read of a text yet it reads in pieces, one at each proposal, and guesses once it
/// has caught up. When memory runs out it forgets the text that asked least recently.
class ModelDraft : public DraftSource {
 public:
  struct Options {
    model::ForwardOptions forward = {};  // its cache is not used
    kv::KvTypes kv_types = {};
    int64_t kv_bytes = std::numeric_limits<int64_t>::max();  // of all texts
    int64_t piece_tokens = 512;                              // read at one proposal
  };

  /// The model must outlive it. tokenizers may be null. Throws UsageError when the vocabulary is
  /// not that of `target`.
  ModelDraft(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
             const model::TextModel& target, const text::Tokenizer* target_tokenizer,
             const Options& options);
  ModelDraft(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
             const model::TextModel& target, const text::Tokenizer* target_tokenizer)
      : ModelDraft(model, std::move(tokenizer), target, target_tokenizer, Options()) {}

  std::vector<int> look(std::span<const DraftText> texts) override;
  Proposal propose(std::span<const DraftText> texts, std::span<const int64_t> lengths) override;
  void forget(int64_t key) override;

 private:
  /// A text as far as the cache holds it.
  struct Read {
    int64_t sequence = -1;
    std::vector<int32_t> tokens;
    uint64_t used = 0;  // proposal that asked for it last
  };
  struct Line;

  Read& rewind(const DraftText& text);
  bool catch_up(Read& read, std::span<const int32_t> text, int64_t& budget);
  bool make_room(const kv::Batch& batch);
  bool forget_oldest();
  Tensor feed(const std::vector<Line>& lines);
  void grow(Line& line, std::span<const float> logits_V, std::vector<int32_t>& draft);

  const model::TextModel& model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  model::ForwardOptions forward_;
  int64_t piece_tokens_;
  kv::KvCache cache_;
  std::map<int64_t, Read> reads_;
  uint64_t proposals_ = 0;
};

}  // namespace corral::engine
