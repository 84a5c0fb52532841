#include <algorithm>

#include "text/tokenizer_files.h"

namespace corral::text {
namespace {

/// The two tokens left when `bytes` is merged by ranks below `limit`; none when more are left.
std::vector<TokenId> parts_below(const Vocabulary& vocabulary, std::string_view bytes,
                                 TokenId limit) {
  struct Part {
    size_t begin;
    TokenId id;
  };
  std::vector<Part> parts;
  for (size_t i = 0; i < bytes.size(); ++i)
    parts.push_back({i, vocabulary.find(bytes.substr(i, 1))});
  const auto end_of = [&](size_t part) {
    return part + 1 < parts.size() ? parts[part + 1].begin : bytes.size();
  };
  while (parts.size() > 2) {
    TokenId best = limit;
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const size_t begin = parts[i].begin;
      const TokenId id = vocabulary.find(bytes.substr(begin, end_of(i + 1) - begin));
      if (id >= 0 && id < best) {
        best = id;
        best_at = i;
      }
    }
    if (best == limit) return {};
    parts[best_at].id = best;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
  return {parts[0].id, parts[1].id};
}

}  // namespace

std::vector<Merge> minimal_merges(const Vocabulary& vocabulary) {
  std::vector<Merge> merges;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view bytes = vocabulary.bytes(id);
    if (bytes.size() < 2) continue;
    const std::vector<TokenId> parts = parts_below(vocabulary, bytes, id);
    if (!parts.empty()) {
      merges.push_back({parts[0], parts[1], id});
      continue;
    }
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const TokenId left = vocabulary.find(bytes.substr(0, cut));
      const TokenId right = vocabulary.find(bytes.substr(cut));
      if (left >= 0 && right >= 0) merges.push_back({left, right, id});
    }
  }
  return merges;
}

}  // namespace corral::text
