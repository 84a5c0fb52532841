#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace corral::text {

/// Finds the spellings of special tokens in a text, leftmost first, of several at one place the
/// longest. Linear in the text for any text.
class SpecialFinder {
 public:
  struct Spelling {
    std::string_view text;
    TokenId id;
  };
  struct Match {
    size_t begin;
    size_t end;
    TokenId id;
  };

  /// The views must outlive the finder.
  explicit SpecialFinder(std::vector<Spelling> spellings);

  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  std::vector<Spelling> sorted_;
  bool starts_[256] = {};
};

}  // namespace corral::text
