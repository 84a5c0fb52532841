#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "engine/speculation/draft.h"

namespace corral::engine {

/// Guesses that a text goes on as it did where its last tokens stood before: in edits, quotations
/// and summaries it often does. Among the places that have the last kGram tokens it takes the one
/// with most tokens in common before them, the latest among equals. Needs no model, and looks only
/// into the text itself. Source: Saxena 2023, "Prompt Lookup Decoding".
class LookupDraft : public DraftSource {
 public:
  /// Tokens that must agree.
  static constexpr size_t kGram = 3;

  std::vector<int> look(std::span<const DraftText> texts) override;
  Proposal propose(std::span<const DraftText> texts, std::span<const int64_t> lengths) override;
  void forget(int64_t key) override { indices_.erase(key); }

 private:
  /// Where the grams of a text are.
  struct Index {
    std::vector<int32_t> tokens;                // indexed so far
    std::unordered_map<uint64_t, size_t> last;  // where a gram ended last, by its hash
    std::vector<size_t> before;  // for each end of a gram, where one of its hash ended before it
    size_t match_end = 0;        // behind the place whose continuation is the guess

    void follow(std::span<const int32_t> text);
    int find();
  };

  std::map<int64_t, Index> indices_;
};

}  // namespace corral::engine
