#pragma once

#include <memory>

#include "engine/session.h"
#include "engine/speculation/draft.h"

namespace corral::engine {

/// Guesses with a smaller model of the same vocabulary. It draws with the random numbers that the
/// sampler will use, so where both models see the same distribution they choose the same token,
/// also at a temperature.
class ModelDraft : public DraftSource {
 public:
  /// The model must outlive it. tokenizers may be null. Throws UsageError when the vocabulary is
  /// not that of `target`.
  ModelDraft(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
             const model::TextModel& target, const text::Tokenizer* target_tokenizer,
             const model::ForwardOptions& options = {}, kv::KvTypes kv_types = {});

  Draft propose(std::span<const int32_t> context, const DraftLengths& wanted,
                const Sampler& sampler) override;

 private:
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  Session session_;
};

}  // namespace corral::engine
