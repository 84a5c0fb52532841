#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "text/tokenizer.h"

namespace corral::engine {

/// The ordinary tokens of a vocabulary as a tree of their bytes, so that tokens with the same
/// beginning are looked at together. Nodes lie in preorder: the subtree of node i is
/// [i, end(i)). Immutable, thread-safe.
class TokenTrie {
 public:
  static std::shared_ptr<const TokenTrie> create(
      const std::shared_ptr<const text::Tokenizer>& tokenizer);

  int32_t nodes() const { return static_cast<int32_t>(ends_.size()); }
  /// The byte that leads from the parent to this node.
  uint8_t byte(int32_t node) const { return bytes_[static_cast<size_t>(node)]; }
  int32_t end(int32_t node) const { return ends_[static_cast<size_t>(node)]; }
  /// The token that ends here, or -1.
  int32_t token(int32_t node) const { return tokens_[static_cast<size_t>(node)]; }

  const text::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  explicit TokenTrie(std::shared_ptr<const text::Tokenizer> tokenizer);
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::vector<uint8_t> bytes_;
  std::vector<int32_t> ends_;
  std::vector<int32_t> tokens_;
};

}  // namespace corral::engine
