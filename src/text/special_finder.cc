#include "text/special_finder.h"

#include <algorithm>

namespace corral::text {

SpecialFinder::SpecialFinder(std::vector<Spelling> spellings) : sorted_(std::move(spellings)) {
  std::sort(sorted_.begin(), sorted_.end(),
            [](const Spelling& a, const Spelling& b) { return a.text < b.text; });
  for (const Spelling& spelling : sorted_) {
    starts_[static_cast<unsigned char>(spelling.text[0])] = true;
  }
}

std::optional<SpecialFinder::Match> SpecialFinder::find(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!starts_[static_cast<unsigned char>(text[at])]) continue;
    std::optional<Match> longest;
    auto low = sorted_.begin();
    auto high = sorted_.end();
    // All spellings in [low, high) agree with the text on the first `depth` bytes. A shorter
    // spelling sorts before those it is a prefix of.
    for (size_t depth = 0; low != high; ++depth) {
      if (low->text.size() == depth) {
        longest = Match{at, at + depth, low->id};
        ++low;
        if (low == high) break;
      }
      if (at + depth >= text.size()) break;
      const auto wanted = static_cast<unsigned char>(text[at + depth]);
      const auto byte = [depth](const Spelling& s) {
        return static_cast<unsigned char>(s.text[depth]);
      };
      low = std::partition_point(low, high, [&](const Spelling& s) { return byte(s) < wanted; });
      high = std::partition_point(low, high, [&](const Spelling& s) { return byte(s) == wanted; });
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace corral::text
