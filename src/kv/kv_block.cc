// Blocks of pages that outlive their sequence: what a prefix cache is made of.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "kv/kv_cache.h"

namespace corral::kv {

KvBlock KvCache::keep(int64_t sequence, int64_t begin, int64_t end) {
  const Sequence& found = find(sequence);
  if (begin < 0 || begin >= end || end > found.length) {
    throw UsageError(str("kv cache: sequence ", sequence, " has ", found.length,
                         " tokens, no block from ", begin, " to ", end));
  }
  KvBlock block{.begin = begin, .end = end, .tables = {}};
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    LayerKind& k = kinds_[kind];
    const PageTable& table = found.tables[kind];
    PageTable kept{.first_page = std::max(k.page_of(begin), table.first_page), .pages = {}};
    const int64_t last = std::min(k.page_of(end - 1) + 1, table.end_page());
    for (int64_t page = kept.first_page; page < last; ++page) {
      const int64_t id = table.pages[static_cast<size_t>(page - table.first_page)];
      k.pool.add_reference(id);
      kept.pages.push_back(id);
    }
    block.tables.push_back(std::move(kept));
  }
  return block;
}

void KvCache::drop(KvBlock& block) {
  drop(block, LayerGroup::kChunked);
  drop(block, LayerGroup::kGlobal);
  block = {};
}

bool KvCache::in_group(size_t kind, LayerGroup group) const {
  return (kinds_[kind].chunk_size == 0) == (group == LayerGroup::kGlobal);
}

void KvCache::drop(KvBlock& block, LayerGroup group) {
  for (size_t kind = 0; kind < block.tables.size(); ++kind) {
    if (!in_group(kind, group)) continue;
    for (const int64_t id : block.tables[kind].pages) kinds_[kind].pool.drop_reference(id);
    block.tables[kind].pages.clear();
  }
}

std::vector<std::span<std::byte>> KvCache::pages(const KvBlock& block, LayerGroup group) const {
  std::vector<std::span<std::byte>> result;
  for (size_t kind = 0; kind < block.tables.size(); ++kind) {
    if (!in_group(kind, group)) continue;
    const PagePool& pool = kinds_[kind].pool;
    for (const int64_t id : block.tables[kind].pages) {
      result.emplace_back(pool.data(id), static_cast<size_t>(pool.page_bytes()));
    }
  }
  return result;
}

int64_t KvCache::bytes(const KvBlock& block, LayerGroup group) const {
  int64_t bytes = 0;
  for (size_t kind = 0; kind < block.tables.size(); ++kind) {
    if (!in_group(kind, group)) continue;
    bytes += static_cast<int64_t>(block.tables[kind].pages.size()) * kinds_[kind].pool.page_bytes();
  }
  return bytes;
}

void KvCache::acquire(KvBlock& block, const KvBlock& like, LayerGroup group) {
  for (size_t kind = 0; kind < block.tables.size(); ++kind) {
    if (!in_group(kind, group)) continue;
    const PageTable& wanted = like.tables[kind];
    PageTable& table = block.tables[kind];
    table.first_page = wanted.first_page;
    for (size_t i = 0; i < wanted.pages.size(); ++i) {
      table.pages.push_back(kinds_[kind].pool.acquire());
    }
  }
}

void KvCache::copy_tables(const KvBlock& from, KvBlock& to, LayerGroup group) const {
  to.tables.resize(kinds_.size());
  for (size_t kind = 0; kind < from.tables.size(); ++kind) {
    if (in_group(kind, group)) to.tables[kind] = from.tables[kind];
  }
}

// The table that holds a page with all its tokens before `length`: that of the last block which
// reaches into both. An earlier neighbour's copy of the page would lack that block's tokens.
const PageTable* KvCache::table_with(std::span<const KvBlock* const> blocks, size_t kind,
                                     int64_t page, int64_t length) const {
  for (size_t i = blocks.size(); i-- > 0;) {
    const KvBlock& block = *blocks[i];
    if (block.begin >= length || kinds_[kind].page_of(block.begin) > page) continue;
    const PageTable& table = block.tables[kind];
    return page >= table.first_page && page < table.end_page() ? &table : nullptr;
  }
  return nullptr;
}

int64_t KvCache::adoptable(std::span<const KvBlock* const> blocks, int64_t length) const {
  int64_t end = 0;
  for (const KvBlock* block : blocks) {
    if (block->begin != end || block->tables.size() != kinds_.size()) {
      throw UsageError(str("kv cache: a block begins at ", block->begin, ", needs ", end));
    }
    end = block->end;
  }
  if (length < 0 || length > end) {
    throw UsageError(str("kv cache: the blocks hold ", end, " tokens, not ", length));
  }
  return whole_prefix(length, [&](size_t kind, int64_t first, int64_t last, int64_t prefix) {
    for (int64_t page = first; page <= last; ++page) {
      if (table_with(blocks, kind, page, prefix) == nullptr) return false;
    }
    return true;
  });
}

int64_t KvCache::adopt(std::span<const KvBlock* const> blocks, int64_t length) {
  const int64_t whole = adoptable(blocks, length);
  if (whole != length) {
    throw UsageError(
        str("kv cache: no prefix of ", length, " tokens in these blocks, only ", whole));
  }
  Sequence made;
  made.length = length;
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    LayerKind& k = kinds_[kind];
    const int64_t start = k.chunk_start(length);
    PageTable table{.first_page = k.page_of(start), .pages = {}};
    const int64_t end_page = start == length ? table.first_page : k.page_of(length - 1) + 1;
    for (int64_t page = table.first_page; page < end_page; ++page) {
      const PageTable& from = *table_with(blocks, kind, page, length);
      table.pages.push_back(from.pages[static_cast<size_t>(page - from.first_page)]);
    }
    made.tables.push_back(std::move(table));
  }
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    for (const int64_t id : made.tables[kind].pages) kinds_[kind].pool.add_reference(id);
  }
  sequences_[next_] = std::move(made);
  return next_++;
}

bool KvCache::whole(const KvBlock& block) const {
  for (size_t kind = 0; kind < block.tables.size(); ++kind) {
    const PageTable& table = block.tables[kind];
    if (table.first_page > kinds_[kind].page_of(block.begin) ||
        table.end_page() <= kinds_[kind].page_of(block.end - 1)) {
      return false;
    }
  }
  return true;
}

int64_t KvCache::visible_from(int64_t length) const {
  int64_t first = length;
  for (const LayerKind& k : kinds_) {
    if (k.chunk_size > 0) first = std::min(first, k.chunk_start(length));
  }
  return first;
}

std::vector<int64_t> KvCache::page_bytes() const {
  std::vector<int64_t> bytes;
  for (const LayerKind& k : kinds_) bytes.push_back(k.pool.page_bytes());
  return bytes;
}

std::vector<int64_t> KvCache::visible_pages(int64_t length) const {
  std::vector<int64_t> pages;
  for (const LayerKind& k : kinds_) {
    const int64_t start = k.chunk_start(length);
    pages.push_back(start == length ? 0 : k.page_of(length - 1) + 1 - k.page_of(start));
  }
  return pages;
}

int64_t KvCache::blank_bytes(int64_t length) const {
  int64_t bytes = 0;
  const std::vector<int64_t> pages = visible_pages(length);
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    bytes += pages[kind] * kinds_[kind].pool.page_bytes();
  }
  return bytes;
}

std::vector<std::vector<std::span<std::byte>>> KvCache::pages(int64_t sequence) const {
  const Sequence& found = find(sequence);
  const std::vector<int64_t> counts = visible_pages(found.length);
  std::vector<std::vector<std::span<std::byte>>> result(kinds_.size());
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    const LayerKind& k = kinds_[kind];
    const PageTable& table = found.tables[kind];
    const int64_t first = k.page_of(k.chunk_start(found.length)) - table.first_page;
    for (int64_t page = first; page < first + counts[kind]; ++page) {
      result[kind].emplace_back(k.pool.data(table.pages[static_cast<size_t>(page)]),
                                static_cast<size_t>(k.pool.page_bytes()));
    }
  }
  return result;
}

int64_t KvCache::create_blank(int64_t length) {
  if (length < 0) throw UsageError(str("kv cache: a sequence of ", length, " tokens"));
  const int64_t more = blank_bytes(length);
  if (bytes() > max_bytes_ - more) {
    throw Error(str("kv cache: a sequence of ", length, " tokens needs ", more, " bytes, ", bytes(),
                    " of ", max_bytes_, " are in use: release sequences or allow more"));
  }
  const std::vector<int64_t> pages = visible_pages(length);
  Sequence made;
  made.length = length;
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    LayerKind& k = kinds_[kind];
    PageTable table{.first_page = k.page_of(k.chunk_start(length)), .pages = {}};
    for (int64_t i = 0; i < pages[kind]; ++i) table.pages.push_back(k.pool.acquire());
    made.tables.push_back(std::move(table));
  }
  sequences_[next_] = std::move(made);
  return next_++;
}

int64_t KvCache::bytes_alone(const KvBlock& block) const {
  int64_t bytes = 0;
  for (size_t kind = 0; kind < block.tables.size(); ++kind) {
    const PagePool& pool = kinds_[kind].pool;
    for (const int64_t id : block.tables[kind].pages) {
      if (pool.references(id) == 1) bytes += pool.page_bytes();
    }
  }
  return bytes;
}

int64_t KvCache::most_bytes(int64_t length, int64_t piece) const {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  if (length <= 0) return 0;
  piece = std::clamp<int64_t>(piece, 1, length);
  int64_t bytes = 0;
  for (const LayerKind& k : kinds_) {
    int64_t pages = k.page_of(length - 1) + 1;
    if (k.chunk_size > 0 && k.chunk_size < length) {
      // One chunk, and what a piece adds: its pages, and one for each chunk that it begins.
      const int64_t chunk_pages = (k.chunk_size - 1) / k.page_tokens + 1;
      pages = std::min(pages, chunk_pages + piece / k.page_tokens + piece / k.chunk_size + 2);
    }
    if (pages > (kMost - bytes) / k.pool.page_bytes()) return kMost;
    bytes += pages * k.pool.page_bytes();
  }
  return bytes;
}

}  // namespace corral::kv
