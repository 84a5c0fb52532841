#include "kv/prefix_cache.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace corral::kv {
namespace {

int64_t common(std::span<const PrefixCache::Identity> a, std::span<const PrefixCache::Identity> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

std::vector<const KvBlock*> blocks_of(const auto& nodes) {
  std::vector<const KvBlock*> blocks;
  blocks.reserve(nodes.size());
  for (const auto* node : nodes) blocks.push_back(&node->block);
  return blocks;
}

}  // namespace

PrefixCache::PrefixCache(KvCache& cache, std::unique_ptr<PageFile> disk)
    : cache_(cache), disk_(std::move(disk)), block_tokens_(cache.layout().page_tokens) {}

PrefixCache::~PrefixCache() { clear(); }

PrefixCache::Path PrefixCache::find(std::span<const Identity> tokens) const {
  Path path;
  const Node* node = &root_;
  while (path.length < static_cast<int64_t>(tokens.size())) {
    const auto rest = tokens.subspan(static_cast<size_t>(path.length));
    const auto wanted = rest.first(std::min(rest.size(), static_cast<size_t>(block_tokens_)));
    // In the order of edges, the one with most in common stands next to the place of `wanted`.
    const auto after = node->children.lower_bound({wanted.begin(), wanted.end()});
    Node* best = nullptr;
    int64_t most = 0;
    const auto consider = [&](Node* candidate) {
      const int64_t length = common(candidate->edge, wanted);
      const bool better = length == most && best != nullptr && !whole(*best) && whole(*candidate);
      if (length > most || better) {
        most = length;
        best = candidate;
      }
    };
    if (after != node->children.end()) consider(after->second.get());
    if (after != node->children.begin()) consider(std::prev(after)->second.get());
    if (best == nullptr) break;
    path.nodes.push_back(best);
    path.length += most;
    // Only whole blocks have children.
    if (most < block_tokens_) break;
    node = best;
  }
  return path;
}

PrefixCache::Order& PrefixCache::order(const Node& node, LayerGroup of) {
  return node.part(of).on_disk ? group(of).on_disk : group(of).in_memory;
}

// The block with what is on disk as if it were here, under numbers of no page.
KvBlock PrefixCache::view(const Node& node) const {
  KvBlock block = node.block;
  for (const LayerGroup of : {kGlobal, kChunked}) {
    if (node.part(of).on_disk) cache_.copy_tables(node.part(of).tables, block, of);
  }
  return block;
}

int64_t PrefixCache::adoptable(const Path& path, int64_t length) const {
  if (disk_ == nullptr) return cache_.adoptable(blocks_of(path.nodes), length);
  std::vector<KvBlock> views;
  std::vector<const KvBlock*> blocks;
  views.reserve(path.nodes.size());
  blocks.reserve(path.nodes.size());
  for (const Node* node : path.nodes) views.push_back(view(*node));
  for (const KvBlock& block : views) blocks.push_back(&block);
  return cache_.adoptable(blocks, length);
}

void PrefixCache::use(Node& node, LayerGroup of) {
  Part& part = node.part(of);
  Order& order = this->order(node, of);
  if (part.used != 0) order.erase(part.used);
  part.used = ++clock_;
  order[part.used] = &node;
}

// The path becomes the most recently used, every parent after its children. Chunked pages count
// as used only where a restored sequence needs them: from `chunked_from` on.
void PrefixCache::touch(const std::vector<Node*>& path, int64_t chunked_from) {
  for (size_t i = path.size(); i-- > 0;) {
    Node& node = *path[i];
    use(node, kGlobal);
    if (node.part(kChunked).used != 0 && node.block.end > chunked_from) use(node, kChunked);
  }
}

PrefixCache::Match PrefixCache::restore(std::span<const Identity> tokens) {
  Path path = find(tokens);
  int64_t length = adoptable(path, path.length);
  const uint64_t before = clock_ + 1;
  touch(path.nodes, cache_.visible_from(length));
  if (disk_ != nullptr) {
    load(path, length, before, std::numeric_limits<int64_t>::max());
    length = cache_.adoptable(blocks_of(path.nodes), path.length);
  }
  if (length == 0) return {cache_.create(), 0};
  return {cache_.adopt(blocks_of(path.nodes), length), length};
}

int64_t PrefixCache::known(std::span<const Identity> tokens) const {
  const Path path = find(tokens);
  return adoptable(path, path.length);
}

void PrefixCache::remember(int64_t sequence, std::span<const Identity> tokens) {
  const auto T = static_cast<int64_t>(tokens.size());
  if (cache_.length(sequence) != T) {
    throw UsageError(str("prefix cache: sequence ", sequence, " has ", cache_.length(sequence),
                         " tokens, not ", T));
  }
  std::vector<Node*> path;
  Node* node = &root_;
  for (int64_t begin = 0; begin < T; begin += block_tokens_) {
    const int64_t length = std::min(block_tokens_, T - begin);
    const auto edge = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(length));
    node = child(*node, edge, begin, sequence);
    if (node == nullptr) break;
    path.push_back(node);
  }
  touch(path, cache_.visible_from(T));
}

// The child with this edge, made if it is not there. Null when a longer block already holds all of
// this one.
PrefixCache::Node* PrefixCache::child(Node& parent, std::span<const Identity> edge, int64_t begin,
                                      int64_t sequence) {
  const std::vector<Identity> key(edge.begin(), edge.end());
  const auto after = parent.children.lower_bound(key);
  const auto starts_with = [](const std::vector<Identity>& whole,
                              const std::vector<Identity>& part) {
    return whole.size() >= part.size() && std::equal(part.begin(), part.end(), whole.begin());
  };
  if (after != parent.children.end() && starts_with(after->first, key)) {
    Node& found = *after->second;
    fill(found, sequence);
    if (found.edge.size() == key.size()) return &found;
    if (whole(found)) {
      touch({&found}, found.block.begin);
      return nullptr;
    }
    // This end has pages of a chunk that the longer block lost: both stay.
  }
  // An end of a sequence that goes on now: the longer block takes its place.
  while (true) {
    const auto place = parent.children.lower_bound(key);
    if (place == parent.children.begin()) break;
    const auto before = std::prev(place);
    if (!starts_with(key, before->first)) break;
    remove(*before->second);
  }
  auto made = std::make_unique<Node>();
  made->parent = &parent;
  made->edge = key;
  made->block = cache_.keep(sequence, begin, begin + static_cast<int64_t>(edge.size()));
  use(*made, kGlobal);
  use(*made, kChunked);
  return parent.children.emplace(key, std::move(made)).first->second.get();
}

// A block that lost pages, or has them on disk only, gets them from a sequence that has them.
void PrefixCache::fill(Node& node, int64_t sequence) {
  if (cache_.length(sequence) < node.block.end) return;
  KvBlock fresh = cache_.keep(sequence, node.block.begin, node.block.end);
  if (node.part(kGlobal).on_disk) take(node, fresh, kGlobal);
  const KvBlock known = view(node);
  size_t more = 0;
  size_t less = 0;
  for (size_t kind = 0; kind < fresh.tables.size(); ++kind) {
    if (!cache_.in_group(kind, kChunked)) continue;
    if (fresh.tables[kind].pages.size() > known.tables[kind].pages.size()) ++more;
    if (fresh.tables[kind].pages.size() < known.tables[kind].pages.size()) ++less;
  }
  if (more > 0 && less == 0) take(node, fresh, kChunked);
  cache_.drop(fresh);
}

// The fresh block's pages of a group become the node's, and the node's the fresh block's.
void PrefixCache::take(Node& node, KvBlock& fresh, LayerGroup of) {
  const KvBlock old = node.block;
  cache_.copy_tables(fresh, node.block, of);
  cache_.copy_tables(old, fresh, of);
  Part& part = node.part(of);
  if (part.on_disk) lose(node, of);
  use(node, of);
}

// Forgets where a part is, on disk or in memory.
void PrefixCache::lose(Node& node, LayerGroup of) {
  Part& part = node.part(of);
  if (part.used != 0) order(node, of).erase(part.used);
  if (part.on_disk) {
    for (const PageFile::Slot& slot : part.slots) disk_->release(slot);
  } else {
    cache_.drop(node.block, of);
  }
  part = {};
}

void PrefixCache::remove(Node& node) {
  lose(node, kChunked);
  lose(node, kGlobal);
  Node& parent = *node.parent;
  parent.children.erase(parent.children.find(node.edge));
}

void PrefixCache::clear() {
  while (!root_.children.empty()) remove_with_children(*root_.children.begin()->second);
}

// Leaves first, without recursion: a long conversation is a deep tree.
void PrefixCache::remove_with_children(Node& node) {
  for (Node* at = &node;;) {
    if (!at->children.empty()) {
      at = at->children.begin()->second.get();
      continue;
    }
    Node* parent = at->parent;
    const bool last = at == &node;
    remove(*at);
    if (last) return;
    at = parent;
  }
}

int64_t PrefixCache::bytes_alone() const {
  int64_t bytes = 0;
  for (const auto& [used, node] : group(kGlobal).in_memory)
    bytes += cache_.bytes_alone(node->block);
  return bytes;
}

}  // namespace corral::kv
