#pragma once

// Shape letters: K kv heads, C head size.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <vector>

#include "kv/batch.h"
#include "kv/kv_types.h"
#include "kv/page_pool.h"
#include "tensor/tensor.h"

namespace corral::kv {

/// What the cache holds for each token.
struct KvLayout {
  std::vector<int64_t> chunk_sizes;  // one a layer; 0: global
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_tokens = kTileTokens;  // a multiple of kTileTokens
  KvTypes types = {};
};

/// The pages of one sequence in one kind of layer: a run of page numbers, absolute page
/// first_page + i of the sequence being pages[i].
struct PageTable {
  int64_t first_page = 0;
  std::vector<int64_t> pages;

  int64_t end_page() const { return first_page + static_cast<int64_t>(pages.size()); }
};

/// Pages that hold the tokens [begin, end) of a sequence, kept alive by references of their own.
/// Made and dropped by KvCache. The first and the last page of a kind may hold other tokens too:
/// nobody writes into them while they are kept.
struct KvBlock {
  int64_t begin = 0;
  int64_t end = 0;
  std::vector<PageTable> tables;  // one a kind
};

/// The layers of a model by what they keep: all of a sequence, or the current chunk.
enum class LayerGroup : uint8_t { kGlobal, kChunked };

/// Layers with one chunk size: they share page tables, and a page holds all of them.
struct LayerKind {
  int64_t chunk_size = 0;
  int64_t layers = 0;
  int64_t page_tokens = 0;
  int64_t key_tile_bytes = 0;  // of one tile, layer and head
  int64_t value_tile_bytes = 0;
  int64_t kv_heads = 0;
  PagePool pool;

  /// Absolute number of the page that holds a position, and where in it. Chunks begin with a new
  /// page.
  struct Place {
    int64_t page;
    int64_t token;
  };
  Place place_of(int64_t position) const;
  int64_t page_of(int64_t position) const { return place_of(position).page; }
  /// First position of the chunk that holds `position`.
  int64_t chunk_start(int64_t position) const {
    return AttentionSpan{chunk_size}.first_visible(position);
  }
};

/// One sequence in one layer: where its keys and values are.
class KvSequenceView {
 public:
  KvSequenceView(const LayerKind& kind, int64_t layer, const PageTable& table, int64_t length)
      : kind_(&kind), layer_(layer), table_(&table), length_(length) {}

  /// Tokens that were committed.
  int64_t length() const { return length_; }
  /// True when the page of `position` is there.
  bool holds(int64_t position) const;
  /// The tiles of keys and values that hold `position`, as KvTypes says. Only if holds().
  struct Tiles {
    std::byte* k;
    std::byte* v;
  };
  Tiles tiles(int64_t position, int64_t kv_head) const;
  std::byte* k_tile(int64_t position, int64_t kv_head) const { return tiles(position, kv_head).k; }
  std::byte* v_tile(int64_t position, int64_t kv_head) const { return tiles(position, kv_head).v; }

 private:
  const LayerKind* kind_;
  int64_t layer_;  // among those of its kind
  const PageTable* table_;
  int64_t length_;
};

class KvCache;

/// One layer of a cache, as an attention op gets it. Valid as long as the cache.
class KvLayerView {
 public:
  KvLayerView(const KvCache& cache, size_t kind, int64_t layer)
      : cache_(&cache), kind_(kind), layer_(layer) {}

  /// Throws UsageError when the cache has no such sequence.
  KvSequenceView sequence(int64_t sequence) const;
  const KvLayout& layout() const;
  int64_t chunk_size() const;

 private:
  const KvCache* cache_;
  size_t kind_;
  int64_t layer_;
};

/// Keys and values of many sequences, in pages under one budget. Global layers keep all of a
/// sequence, chunked layers the current chunk. Pages are counted by reference: a fork shares its
/// parent's until one of them writes.
///
/// A step: prepare(batch), then each layer's paged_attention writes and reads, then commit(batch).
/// Without the commit the lengths stay, and the step can be repeated. Not thread-safe.
class KvCache {
 public:
  /// Throws UsageError for a layout that makes no sense.
  KvCache(KvLayout layout, DevicePtr device,
          int64_t max_bytes = std::numeric_limits<int64_t>::max());
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  /// A new empty sequence. Handles are not used twice.
  int64_t create();
  /// A new sequence with the content of another; copies nothing.
  int64_t fork(int64_t sequence);
  /// Forgets a sequence.
  void release(int64_t sequence);

  /// Committed tokens.
  int64_t length(int64_t sequence) const;
  /// The longest prefix of at most `length` tokens that truncate() can cut to. It is less than
  /// `length` when chunked layers no longer hold the chunk of that place; cutting to it and feeding
  /// the tokens from there on again gives the exact state of `length` tokens, and is less than one
  /// chunk of work.
  int64_t restorable(int64_t sequence, int64_t length) const;
  /// Tokens that may be fed in one batch so that truncate() can take back any of them after the
  /// first: those up to the next end of a chunk.
  int64_t revocable(int64_t sequence) const;
  /// Cuts a sequence. Throws Error (naming what restorable() says) when the prefix is not whole.
  void truncate(int64_t sequence, int64_t length);

  /// Keeps the pages of [begin, end), what of them the sequence still holds: chunked layers have
  /// only those of the current chunk. Throws UsageError when the sequence is shorter.
  KvBlock keep(int64_t sequence, int64_t begin, int64_t end);
  /// Gives the block's pages back and leaves it empty.
  void drop(KvBlock& block);
  /// The same for some layers only. What is left without chunked ones restores to the beginning of
  /// a chunk.
  void drop(KvBlock& block, LayerGroup group);
  /// The memory of a block's pages in these layers.
  std::vector<std::span<std::byte>> pages(const KvBlock& block, LayerGroup group) const;
  int64_t bytes(const KvBlock& block, LayerGroup group) const;
  /// Gives a block without pages in these layers new ones, of zeros, as many as `like` has there.
  void acquire(KvBlock& block, const KvBlock& like, LayerGroup group);
  /// Whether the layers of a table of a block are in the group.
  bool in_group(size_t kind, LayerGroup group) const;
  /// Copies tables (not pages, and no reference) of some layers.
  void copy_tables(const KvBlock& from, KvBlock& to, LayerGroup group) const;
  /// The longest prefix of at most `length` tokens that adopt() can make from consecutive blocks,
  /// the first beginning at 0 and the last reaching `length`. As in restorable(), less than one
  /// chunk is lost where chunked layers hold nothing.
  int64_t adoptable(std::span<const KvBlock* const> blocks, int64_t length) const;
  /// A new sequence of `length` tokens, which adoptable() allows, that shares the blocks' pages.
  int64_t adopt(std::span<const KvBlock* const> blocks, int64_t length);
  /// True when the block has the pages of all its tokens in all layers.
  bool whole(const KvBlock& block) const;
  /// The first position that a token at `length` sees in chunked layers; `length` without any.
  int64_t visible_from(int64_t length) const;
  /// Bytes of the pages that nobody but this block holds, and that dropping it would free.
  int64_t bytes_alone(const KvBlock& block) const;

  /// The memory of a sequence's pages that its next token sees, by kind of layer, in order. It
  /// stays as it is while a fork of the sequence is held that nobody feeds: others write into
  /// copies.
  std::vector<std::vector<std::span<std::byte>>> pages(int64_t sequence) const;
  /// A new sequence of `length` tokens whose pages(), all zero yet, the caller fills. Throws Error,
  /// naming the bytes, when max_bytes would be exceeded.
  int64_t create_blank(int64_t length);
  /// Bytes that create_blank() takes, and those of one page of each kind.
  int64_t blank_bytes(int64_t length) const;
  std::vector<int64_t> page_bytes() const;
  /// How many pages of each kind the next token after `length` sees.
  std::vector<int64_t> visible_pages(int64_t length) const;

  /// No more than this is ever in use by one sequence that grows to `length` tokens and is fed at
  /// most `piece` tokens at once.
  int64_t most_bytes(int64_t length, int64_t piece) const;

  /// Bytes that prepare(batch) would add; negative when it frees more.
  int64_t bytes_to_prepare(const Batch& batch) const;
  /// Whether prepare(batch) keeps to max_bytes.
  bool has_room_for(const Batch& batch) const;
  /// Makes the pages that the batch's segments write: new ones, and copies of shared ones. Each
  /// segment continues its sequence (first_position is its length), and none comes twice. Throws
  /// UsageError if not; Error, naming the bytes and leaving the cache as it was, when max_bytes
  /// would be exceeded.
  void prepare(const Batch& batch);
  /// The batch's tokens are in all layers: lengths grow, and chunks that no later token sees go.
  void commit(const Batch& batch);

  KvLayerView layer(int64_t index) const;
  const KvLayout& layout() const { return layout_; }
  /// Bytes of pages in use, shared ones counted once.
  int64_t bytes() const;
  int64_t max_bytes() const { return max_bytes_; }

 private:
  friend class KvLayerView;
  struct Sequence {
    int64_t length = 0;
    std::vector<PageTable> tables;  // one a kind
  };
  struct Place {
    size_t kind;
    int64_t layer;
  };

  const PageTable* table_with(std::span<const KvBlock* const> blocks, size_t kind, int64_t page,
                              int64_t length) const;
  /// holds(kind, first page, last page, prefix): are all pages there that a sequence of `prefix`
  /// tokens needs in layers of that kind?
  using Holds = std::function<bool(size_t, int64_t, int64_t, int64_t)>;
  int64_t whole_prefix(int64_t length, const Holds& holds) const;
  const Sequence& find(int64_t sequence) const;
  Sequence& find(int64_t sequence);
  void check(const Batch& batch) const;
  bool has_room(int64_t more_bytes) const;
  void prepare_segment(const Segment& segment);
  void drop_before(Sequence& sequence, size_t kind, int64_t page);
  void drop_from(Sequence& sequence, size_t kind, int64_t page);

  KvLayout layout_;
  int64_t max_bytes_;
  std::vector<LayerKind> kinds_;
  std::vector<Place> places_;  // of each layer
  std::map<int64_t, Sequence> sequences_;
  int64_t next_ = 0;
};

}  // namespace corral::kv
