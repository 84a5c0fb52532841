#include "engine/constraint/token_trie.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace corral::engine {

std::shared_ptr<const TokenTrie> TokenTrie::create(
    const std::shared_ptr<const text::Tokenizer>& tokenizer) {
  return std::shared_ptr<const TokenTrie>(new TokenTrie(tokenizer));
}

TokenTrie::TokenTrie(std::shared_ptr<const text::Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {
  std::vector<std::pair<std::string_view, int32_t>> sorted;
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
    const std::string_view bytes = tokenizer_->token_bytes(id);
    if (!bytes.empty() && !tokenizer_->is_special(id)) sorted.emplace_back(bytes, id);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<int32_t> path;  // the nodes of the token before, one a byte
  std::string_view before;
  const auto leave = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) ends_[static_cast<size_t>(path.back())] = nodes();
  };
  for (const auto& [bytes, id] : sorted) {
    const auto common = std::mismatch(bytes.begin(), bytes.end(), before.begin(), before.end());
    leave(static_cast<size_t>(common.first - bytes.begin()));
    while (path.size() < bytes.size()) {
      path.push_back(nodes());
      bytes_.push_back(static_cast<uint8_t>(bytes[path.size() - 1]));
      ends_.push_back(0);
      tokens_.push_back(-1);
    }
    tokens_[static_cast<size_t>(path.back())] = id;
    before = bytes;
  }
  leave(0);
}

}  // namespace corral::engine
