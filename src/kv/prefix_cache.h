#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "kv/kv_cache.h"

namespace corral::kv {

/// Remembers the pages of finished and running sequences, so that an equal beginning is not
/// computed again. Beginnings are compared by the identities of what stands in them: a token's id,
/// or which vector of which picture. A radix tree: an edge is the identities of one block (a page
/// of the global layers, or the shorter end of a sequence), a node holds that block's pages by
/// reference.
///
/// Chunked layers keep pages of the chunks in which sequences ended. Where they hold none, a prefix
/// is restored to the beginning of its chunk: less than one chunk is computed again, never the
/// whole prompt.
///
/// What is least recently used goes first; the chunked layers' pages of a chunk that conversations
/// have left go before the global ones. Not thread-safe; the KV cache must outlive it.
class PrefixCache {
 public:
  using Identity = uint64_t;

  explicit PrefixCache(KvCache& cache);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// A beginning of some tokens, as a sequence of the KV cache that the caller releases.
  struct Match {
    int64_t sequence;
    int64_t length;
  };
  /// The longest known beginning of `tokens`; an empty sequence when none is known.
  Match restore(std::span<const Identity> tokens);
  /// How many tokens restore() would find now; changes nothing.
  int64_t known(std::span<const Identity> tokens) const;
  /// Remembers a sequence, whose committed tokens are `tokens`.
  void remember(int64_t sequence, std::span<const Identity> tokens);

  /// Forgets the least recently used pages: those of one block in the chunked layers, or one block
  /// that no longer one goes on from. False when nothing is left.
  bool forget_one();
  void clear();

  int64_t blocks() const { return static_cast<int64_t>(by_use_.size()); }
  /// Bytes that only the tree holds: what forgetting everything would free, or a little less.
  int64_t bytes_alone() const;

 private:
  struct Node {
    Node* parent = nullptr;
    std::vector<Identity> edge;
    KvBlock block;
    std::map<std::vector<Identity>, std::unique_ptr<Node>> children;
    uint64_t used = 0;          // key in by_use_; a parent's is greater than its children's
    uint64_t chunked_used = 0;  // key in by_chunked_use_; 0: no chunked pages
  };
  struct Path {
    std::vector<Node*> nodes;
    int64_t length = 0;  // tokens in common; may end inside the last node's block
  };

  Path find(std::span<const Identity> tokens) const;
  Node* child(Node& parent, std::span<const Identity> edge, int64_t begin, int64_t sequence);
  void touch(const std::vector<Node*>& path, int64_t chunked_from);
  void fill_chunked(Node& node, int64_t sequence);
  void remove(Node& node);

  KvCache& cache_;
  int64_t block_tokens_;
  Node root_;
  uint64_t clock_ = 0;
  std::map<uint64_t, Node*> by_use_;          // the first one has no children
  std::map<uint64_t, Node*> by_chunked_use_;  // those whose chunked layers' pages are here
};

}  // namespace corral::kv
