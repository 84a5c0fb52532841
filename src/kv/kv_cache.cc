#include "kv/kv_cache.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/error.h"

namespace corral::kv {
namespace {

// Far above any model, low enough that no product below overflows.
constexpr int64_t kMostHeads = 1 << 12;
constexpr int64_t kMostHeadDim = 1 << 12;
constexpr int64_t kMostPageTokens = 1 << 16;
constexpr size_t kMostLayers = 1 << 12;

void check_layout(const KvLayout& layout) {
  const auto in = [](int64_t x, int64_t most) { return x >= 1 && x <= most; };
  if (layout.chunk_sizes.empty() || layout.chunk_sizes.size() > kMostLayers ||
      !in(layout.kv_heads, kMostHeads) || !in(layout.head_dim, kMostHeadDim)) {
    throw UsageError(str("kv cache: ", layout.chunk_sizes.size(), " layers, ", layout.kv_heads,
                         " kv heads, head size ", layout.head_dim, " are out of range"));
  }
  if (!in(layout.page_tokens, kMostPageTokens) || layout.page_tokens % kTileTokens != 0) {
    throw UsageError(str("kv cache: pages of ", layout.page_tokens, " tokens, need a multiple of ",
                         kTileTokens, " up to ", kMostPageTokens));
  }
  for (const DType type : {layout.types.k, layout.types.v}) {
    if (is_kv_type(type)) continue;
    throw NotSupported(str("kv cache: type ", type, ", needs f32, bf16, q8_0 or q4_0"));
  }
  for (const int64_t chunk : layout.chunk_sizes) {
    if (chunk < 0) throw UsageError(str("kv cache: chunk size ", chunk, " is negative"));
  }
}

}  // namespace

LayerKind::Place LayerKind::place_of(int64_t position) const {
  int64_t first_page = 0;  // of the chunk
  int64_t in_chunk = position;
  if (chunk_size > 0 && position >= chunk_size) {
    const int64_t chunk = position / chunk_size;
    first_page = chunk * ((chunk_size - 1) / page_tokens + 1);
    in_chunk -= chunk * chunk_size;
  }
  const int64_t page = in_chunk / page_tokens;
  return {first_page + page, in_chunk - page * page_tokens};
}

bool KvSequenceView::holds(int64_t position) const {
  const int64_t page = kind_->page_of(position);
  return page >= table_->first_page && page < table_->end_page();
}

KvSequenceView::Tiles KvSequenceView::tiles(int64_t position, int64_t kv_head) const {
  const LayerKind::Place place = kind_->place_of(position);
  const int64_t tiles = kind_->page_tokens / kTileTokens;
  const int64_t index = (layer_ * kind_->kv_heads + kv_head) * tiles + place.token / kTileTokens;
  std::byte* page =
      kind_->pool.data(table_->pages[static_cast<size_t>(place.page - table_->first_page)]);
  std::byte* k = page + index * (kind_->key_tile_bytes + kind_->value_tile_bytes);
  return {k, k + kind_->key_tile_bytes};
}

KvSequenceView KvLayerView::sequence(int64_t sequence) const {
  const KvCache::Sequence& found = cache_->find(sequence);
  return {cache_->kinds_[kind_], layer_, found.tables[kind_], found.length};
}

const KvLayout& KvLayerView::layout() const { return cache_->layout_; }

int64_t KvLayerView::chunk_size() const { return cache_->kinds_[kind_].chunk_size; }

KvCache::KvCache(KvLayout layout, DevicePtr device, int64_t max_bytes)
    : layout_(std::move(layout)), max_bytes_(max_bytes) {
  check_layout(layout_);
  std::vector<int64_t> sizes;
  std::vector<int64_t> counts;
  for (const int64_t chunk : layout_.chunk_sizes) {
    const auto kind =
        static_cast<size_t>(std::find(sizes.begin(), sizes.end(), chunk) - sizes.begin());
    if (kind == sizes.size()) {
      sizes.push_back(chunk);
      counts.push_back(0);
    }
    places_.push_back({kind, counts[kind]++});
  }
  const int64_t k_bytes = key_tile_bytes(layout_.types.k, layout_.head_dim);
  const int64_t v_bytes = value_tile_bytes(layout_.types.v, layout_.head_dim);
  for (size_t kind = 0; kind < sizes.size(); ++kind) {
    // No page is longer than the chunk needs.
    int64_t page_tokens = layout_.page_tokens;
    if (sizes[kind] > 0) {
      const int64_t tiles = (sizes[kind] - 1) / kTileTokens + 1;
      page_tokens = std::min(page_tokens / kTileTokens, tiles) * kTileTokens;
    }
    const int64_t page_bytes =
        counts[kind] * layout_.kv_heads * (page_tokens / kTileTokens) * (k_bytes + v_bytes);
    kinds_.push_back({.chunk_size = sizes[kind],
                      .layers = counts[kind],
                      .page_tokens = page_tokens,
                      .key_tile_bytes = k_bytes,
                      .value_tile_bytes = v_bytes,
                      .kv_heads = layout_.kv_heads,
                      .pool = PagePool(page_bytes, device)});
  }
}

const KvCache::Sequence& KvCache::find(int64_t sequence) const {
  const auto found = sequences_.find(sequence);
  if (found == sequences_.end()) throw UsageError(str("kv cache: no sequence ", sequence));
  return found->second;
}

KvCache::Sequence& KvCache::find(int64_t sequence) {
  return const_cast<Sequence&>(std::as_const(*this).find(sequence));
}

int64_t KvCache::create() {
  sequences_[next_].tables.resize(kinds_.size());
  return next_++;
}

int64_t KvCache::fork(int64_t sequence) {
  const Sequence copy = find(sequence);
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    for (const int64_t page : copy.tables[kind].pages) kinds_[kind].pool.add_reference(page);
  }
  sequences_[next_] = copy;
  return next_++;
}

void KvCache::release(int64_t sequence) {
  Sequence& found = find(sequence);
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    drop_from(found, kind, found.tables[kind].first_page);
  }
  sequences_.erase(sequence);
}

int64_t KvCache::length(int64_t sequence) const { return find(sequence).length; }

int64_t KvCache::restorable(int64_t sequence, int64_t length) const {
  const Sequence& found = find(sequence);
  if (length < 0 || length > found.length) {
    throw UsageError(str("kv cache: sequence ", sequence, " has ", found.length,
                         " tokens, no prefix of ", length));
  }
  return whole_prefix(length, [&](size_t kind, int64_t first, int64_t, int64_t) {
    const PageTable& table = found.tables[kind];
    return first >= table.first_page && first < table.end_page();
  });
}

int64_t KvCache::whole_prefix(int64_t length, const Holds& holds) const {
  for (bool whole = false; !whole;) {
    whole = true;
    for (size_t kind = 0; kind < kinds_.size(); ++kind) {
      const LayerKind& k = kinds_[kind];
      const int64_t start = k.chunk_start(length);
      if (start == length) continue;
      if (holds(kind, k.page_of(start), k.page_of(length - 1), length)) continue;
      length = start;
      whole = false;
    }
  }
  return length;
}

int64_t KvCache::revocable(int64_t sequence) const {
  const int64_t length = find(sequence).length;
  int64_t most = std::numeric_limits<int64_t>::max() - length;
  for (const LayerKind& k : kinds_) {
    if (k.chunk_size > 0) most = std::min(most, k.chunk_size - length % k.chunk_size);
  }
  return most;
}

void KvCache::truncate(int64_t sequence, int64_t length) {
  const int64_t whole = restorable(sequence, length);
  if (whole != length) {
    throw Error(str("kv cache: sequence ", sequence, " cannot be cut to ", length,
                    " tokens, its chunk is gone: cut to ", whole, " and feed the rest again"));
  }
  Sequence& found = find(sequence);
  found.length = length;
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    drop_from(found, kind, length == 0 ? 0 : kinds_[kind].page_of(length - 1) + 1);
    PageTable& table = found.tables[kind];
    // The chunk that ends here is gone in layers that had gone on: the next token begins one.
    if (table.pages.empty()) table.first_page = kinds_[kind].page_of(length);
  }
}

void KvCache::check(const Batch& batch) const {
  std::set<int64_t> seen;
  for (const Segment& segment : batch.segments) {
    const Sequence& found = find(segment.sequence);
    if (segment.first_position != found.length) {
      throw UsageError(str("kv cache: sequence ", segment.sequence, " has ", found.length,
                           " tokens, the batch goes on at ", segment.first_position));
    }
    if (segment.length < 1) throw UsageError("kv cache: the batch has an empty segment");
    if (!seen.insert(segment.sequence).second) {
      throw UsageError(str("kv cache: sequence ", segment.sequence, " is twice in the batch"));
    }
  }
}

int64_t KvCache::bytes_to_prepare(const Batch& batch) const {
  check(batch);
  int64_t bytes = 0;
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    const LayerKind& k = kinds_[kind];
    std::unordered_map<int64_t, int64_t> dropped;  // references that the batch gives up, by page
    int64_t pages = 0;
    const auto drop = [&](int64_t page) {
      if (++dropped[page] == k.pool.references(page)) --pages;
    };
    for (const Segment& segment : batch.segments) {
      const PageTable& table = find(segment.sequence).tables[kind];
      const int64_t first_kept = k.page_of(k.chunk_start(segment.first_position));
      const int64_t first_written = k.page_of(segment.first_position);
      for (int64_t page = table.first_page; page < table.end_page(); ++page) {
        const int64_t id = table.pages[static_cast<size_t>(page - table.first_page)];
        if (page < first_kept) {
          drop(id);
        } else if (page >= first_written && k.pool.references(id) - dropped[id] > 1) {
          drop(id);
          ++pages;
        }
      }
      const int64_t last_written = k.page_of(segment.first_position + segment.length - 1);
      pages += std::max<int64_t>(0, last_written + 1 - std::max(table.end_page(), first_kept));
    }
    bytes += pages * k.pool.page_bytes();
  }
  return bytes;
}

bool KvCache::has_room(int64_t more) const { return more <= 0 || bytes() <= max_bytes_ - more; }

bool KvCache::has_room_for(const Batch& batch) const { return has_room(bytes_to_prepare(batch)); }

void KvCache::prepare(const Batch& batch) {
  const int64_t more = bytes_to_prepare(batch);
  if (!has_room(more)) {
    throw Error(str("kv cache: ", batch.size(), " more tokens need ", more, " bytes, ", bytes(),
                    " of ", max_bytes_, " are in use: release sequences or allow more"));
  }
  // Old chunks of all segments go first, so that the new pages fit in the budget at every moment.
  for (const Segment& segment : batch.segments) {
    Sequence& found = find(segment.sequence);
    for (size_t kind = 0; kind < kinds_.size(); ++kind) {
      const LayerKind& k = kinds_[kind];
      drop_before(found, kind, k.page_of(k.chunk_start(segment.first_position)));
    }
  }
  for (const Segment& segment : batch.segments) prepare_segment(segment);
}

void KvCache::prepare_segment(const Segment& segment) {
  Sequence& found = find(segment.sequence);
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    LayerKind& k = kinds_[kind];
    PageTable& table = found.tables[kind];
    const int64_t last = k.page_of(segment.first_position + segment.length - 1);
    for (int64_t page = k.page_of(segment.first_position); page <= last; ++page) {
      if (page == table.end_page()) {
        table.pages.push_back(k.pool.acquire());
        continue;
      }
      int64_t& id = table.pages[static_cast<size_t>(page - table.first_page)];
      if (k.pool.references(id) == 1) continue;
      const int64_t copy = k.pool.acquire_copy(id);
      k.pool.drop_reference(id);
      id = copy;
    }
  }
}

void KvCache::commit(const Batch& batch) {
  check(batch);
  for (const Segment& segment : batch.segments) {
    Sequence& found = find(segment.sequence);
    const int64_t last = segment.first_position + segment.length - 1;
    for (size_t kind = 0; kind < kinds_.size(); ++kind) {
      if (found.tables[kind].end_page() <= kinds_[kind].page_of(last)) {
        throw UsageError(str("kv cache: sequence ", segment.sequence, " was not prepared for ",
                             segment.length, " more tokens"));
      }
    }
  }
  for (const Segment& segment : batch.segments) {
    Sequence& found = find(segment.sequence);
    found.length += segment.length;
    const int64_t last = found.length - 1;
    for (size_t kind = 0; kind < kinds_.size(); ++kind) {
      const LayerKind& k = kinds_[kind];
      drop_before(found, kind, k.page_of(k.chunk_start(last)));
      drop_from(found, kind, k.page_of(last) + 1);
    }
  }
}

void KvCache::drop_before(Sequence& sequence, size_t kind, int64_t page) {
  PageTable& table = sequence.tables[kind];
  const int64_t gone =
      std::clamp<int64_t>(page - table.first_page, 0, static_cast<int64_t>(table.pages.size()));
  for (int64_t i = 0; i < gone; ++i) {
    kinds_[kind].pool.drop_reference(table.pages[static_cast<size_t>(i)]);
  }
  table.pages.erase(table.pages.begin(), table.pages.begin() + gone);
  table.first_page += gone;
  if (table.pages.empty()) table.first_page = std::max(table.first_page, page);
}

void KvCache::drop_from(Sequence& sequence, size_t kind, int64_t page) {
  PageTable& table = sequence.tables[kind];
  while (!table.pages.empty() && table.end_page() > page) {
    kinds_[kind].pool.drop_reference(table.pages.back());
    table.pages.pop_back();
  }
}

KvLayerView KvCache::layer(int64_t index) const {
  if (index < 0 || index >= static_cast<int64_t>(places_.size())) {
    throw UsageError(str("kv cache: no layer ", index, " of ", places_.size()));
  }
  const Place& place = places_[static_cast<size_t>(index)];
  return {*this, place.kind, place.layer};
}

int64_t KvCache::bytes() const {
  int64_t bytes = 0;
  for (const LayerKind& kind : kinds_) bytes += kind.pool.bytes_in_use();
  return bytes;
}

}  // namespace corral::kv
