#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "text/vocabulary.h"

namespace corral::text {

/// Ids are smaller than this.
inline constexpr int64_t kMaxTokenIds = int64_t{1} << 24;

/// Everything a tokenizer is, as plain data: what files are read into and written from.
struct TokenizerSpec {
  /// Raw bytes of the ordinary token of every id from 0 on. An empty string is a hole: an id
  /// without an ordinary token (a special one may live there). All 256 single bytes must occur.
  std::vector<std::string> tokens;
  /// The merges in order of priority, as raw bytes (left, right). Empty: neighbours merge whenever
  /// their bytes together are a token, the one of lowest id first (tiktoken's rule).
  std::vector<std::pair<std::string, std::string>> merges;
  /// A piece that is a token as it stands needs no merges: always in tiktoken, `ignore_merges` in
  /// Hugging Face files.
  bool whole_pieces = true;
  /// Special tokens by spelling; ids that no ordinary token has.
  std::map<std::string, TokenId> specials;
  /// The regular expression that cuts text into pieces.
  std::string pattern;
};

}  // namespace corral::text
