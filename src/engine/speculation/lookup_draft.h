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
/// into the text itself and what is expected of it. Source: Saxena 2023, "Prompt Lookup Decoding".
class LookupDraft : public DraftSource {
 public:
  /// Tokens that are indexed at one look(): what is new and longer takes several, without a guess,
  /// so that nobody waits for it.
  static constexpr size_t kMostNew = size_t{1} << 16;
  /// Tokens that must agree.
  static constexpr size_t kGram = kContextTokens + 1;

  std::vector<int> look(std::span<const DraftText> texts) override;
  Proposal propose(std::span<const DraftText> texts, std::span<const int64_t> lengths) override;
  void forget(int64_t key) override { indices_.erase(key); }

 private:
  /// Where the grams of a text are, and of what is expected of it.
  struct Index {
    size_t expected = 0;                        // tokens that stand before the text's own
    std::vector<int32_t> tokens;                // indexed so far
    std::unordered_map<uint64_t, size_t> last;  // where a gram ended last, by its hash
    std::vector<size_t> before;  // for each end of a gram, where one of its hash ended before it
    size_t match_end = 0;        // behind the place whose continuation is the guess

    bool follow(const DraftText& text);
    void append(std::span<const int32_t> more, size_t& most);
    int find();
  };

  std::map<int64_t, Index> indices_;
};

}  // namespace corral::engine
