#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace corral::text {

struct TrainTokenizerOptions {
  /// Counts everything: 256 bytes, learned tokens, special tokens.
  int64_t vocab_size = 16384;
  /// In order; they take the last ids. Default: compact_special_tokens().
  std::vector<std::string> special_tokens;
  /// The pattern that cuts text into pieces. Default: Llama 4's.
  std::string pattern;
  /// The rarest pieces are forgotten beyond this many distinct ones (about 100 bytes each).
  int64_t max_pieces = 4'000'000;
  /// No token becomes longer than this.
  int64_t max_token_bytes = 64;
  /// A pair must occur this often to become a token.
  int64_t min_pair_count = 2;

  TrainTokenizerOptions();
};

struct TrainTokenizerProgress {
  enum class Stage { kReading, kMerging } stage;
  /// Bytes read so far, or tokens learned so far.
  int64_t done;
  /// Tokens to learn; 0 while reading.
  int64_t total;
};

/// Learns a byte-level BPE vocabulary.
///
/// next() gives one document after another, nullopt at the end. The most frequent pair of
/// neighbours becomes the next token; ties go to the pair with the smaller bytes (left part first).
/// Every text is encoded during training exactly as the finished tokenizer will encode it, by ranks
/// alone. Deterministic: depends on documents and options only (and on their order only when pieces
/// had to be forgotten).
///
/// The result has fewer tokens than asked when the corpus has no more pairs that occur
/// min_pair_count times. Ids: the 256 bytes in order, the learned tokens, the special tokens.
/// Throws UsageError for a vocabulary smaller than 256 + special tokens and for repeated or empty
/// special tokens.
TokenizerSpec train_tokenizer(
    const std::function<std::optional<std::string>()>& next, const TrainTokenizerOptions& options,
    const std::function<void(const TrainTokenizerProgress&)>& progress = {});

}  // namespace corral::text
