#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/speculation/draft.h"

namespace corral::engine {

/// Guesses that a text goes on as it did where its last tokens stood before: in edits, quotations
/// and summaries it often does. Among the places that have the last kGram tokens it takes the one
/// with most tokens in common before them, the latest among equals. Needs no model.
/// Source: Saxena 2023, "Prompt Lookup Decoding".
class LookupDraft : public DraftSource {
 public:
  /// Tokens that must agree.
  static constexpr size_t kGram = 3;

  Draft propose(std::span<const int32_t> context, const DraftLengths& wanted,
                const Sampler& sampler) override;

 private:
  void index(std::span<const int32_t> context);

  std::vector<int32_t> tokens_;                // indexed so far
  std::unordered_map<uint64_t, size_t> last_;  // where a gram ended last, by its hash
  std::vector<size_t> before_;  // for each end of a gram, where one of its hash ended before it
};

}  // namespace corral::engine
