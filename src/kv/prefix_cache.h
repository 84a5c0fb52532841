#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kv/kv_cache.h"
#include "kv/page_file.h"

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
/// have left go before the global ones. With a PageFile it goes to disk, and comes back when it is
/// wanted; what has gone first is forgotten when the file's budget is used up
/// (docs/decisions/0023). Not thread-safe; the KV cache must outlive it.
class PrefixCache {
 public:
  using Identity = uint64_t;

  /// disk: for what memory does not hold; null: that is forgotten.
  explicit PrefixCache(KvCache& cache, std::unique_ptr<PageFile> disk = nullptr);
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
  /// Brings about `bytes` (at least a block) of what restore() would need from disk into memory, so
  /// that nobody waits for all of it. True while there is more to bring.
  bool fetch(std::span<const Identity> tokens, int64_t bytes);
  /// How many tokens restore() would find now; changes nothing.
  int64_t known(std::span<const Identity> tokens) const;
  /// Remembers a sequence, whose committed tokens are `tokens`.
  void remember(int64_t sequence, std::span<const Identity> tokens);

  /// Takes the least recently used pages out of memory: those of one block in the chunked layers,
  /// or one block that no longer one in memory goes on from. False when nothing is left.
  bool forget_one() { return forget_one(std::numeric_limits<uint64_t>::max()); }
  void clear();

  /// In memory.
  int64_t blocks() const { return static_cast<int64_t>(group(kGlobal).in_memory.size()); }
  int64_t disk_bytes() const { return disk_ == nullptr ? 0 : disk_->bytes(); }
  /// Bytes that came back from disk, since the start.
  int64_t loaded_bytes() const { return loaded_bytes_; }
  /// Bytes that only the tree holds: what forgetting everything would free, or a little less.
  int64_t bytes_alone() const;

 private:
  static constexpr LayerGroup kGlobal = LayerGroup::kGlobal;
  static constexpr LayerGroup kChunked = LayerGroup::kChunked;

  /// The pages of a block in one group of layers, and when they were last used.
  struct Part {
    uint64_t used = 0;  // key in its group's order; 0: the pages are nowhere
    bool on_disk = false;
    KvBlock tables;                     // on disk: what the block's tables were
    std::vector<PageFile::Slot> slots;  // on disk: of its pages, in order
  };
  struct Node {
    Node* parent = nullptr;
    std::vector<Identity> edge;
    KvBlock block;  // what is in memory
    std::map<std::vector<Identity>, std::unique_ptr<Node>> children;
    // A block is known as long as its global pages are somewhere. Parents are used after their
    // children, so those in memory have all their ancestors in memory.
    std::array<Part, 2> parts;

    Part& part(LayerGroup group) { return parts[static_cast<size_t>(group)]; }
    const Part& part(LayerGroup group) const { return parts[static_cast<size_t>(group)]; }
  };
  using Order = std::map<uint64_t, Node*>;  // the first was not used for the longest time
  struct Group {
    Order in_memory;
    Order on_disk;
  };
  struct Path {
    std::vector<Node*> nodes;
    int64_t length = 0;  // tokens in common; may end inside the last node's block
  };

  Group& group(LayerGroup group) { return groups_[static_cast<size_t>(group)]; }
  const Group& group(LayerGroup group) const { return groups_[static_cast<size_t>(group)]; }
  Order& order(const Node& node, LayerGroup group);
  KvBlock view(const Node& node) const;
  int64_t adoptable(const Path& path, int64_t length) const;
  bool whole(const Node& node) const { return cache_.whole(view(node)); }
  Path find(std::span<const Identity> tokens) const;
  Node* child(Node& parent, std::span<const Identity> edge, int64_t begin, int64_t sequence);
  void use(Node& node, LayerGroup group);
  void touch(const std::vector<Node*>& path, int64_t chunked_from);
  void fill(Node& node, int64_t sequence);
  void take(Node& node, KvBlock& fresh, LayerGroup group);

  bool forget_one(uint64_t before);
  bool spill(Node& node, LayerGroup group, uint64_t before);
  bool forget_on_disk(uint64_t before);
  bool load(Path& path, int64_t length, uint64_t before, int64_t bytes);
  bool load(Node& node, LayerGroup group, uint64_t before);
  void lose(Node& node, LayerGroup group);
  void remove(Node& node);
  void remove_with_children(Node& node);

  KvCache& cache_;
  std::unique_ptr<PageFile> disk_;
  int64_t block_tokens_;
  Node root_;
  uint64_t clock_ = 0;
  std::array<Group, 2> groups_;
  int64_t loaded_bytes_ = 0;
};

}  // namespace corral::kv
