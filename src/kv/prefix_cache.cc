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
  for (const auto* node : nodes) blocks.push_back(&node->block);
  return blocks;
}

}  // namespace

PrefixCache::PrefixCache(KvCache& cache)
    : cache_(cache), block_tokens_(cache.layout().page_tokens) {}

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
      const bool better = length == most && best != nullptr && !cache_.whole(best->block) &&
                          cache_.whole(candidate->block);
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

// The path becomes the most recently used, every parent after its children. Chunked pages count
// as used only where a restored sequence needs them: from `chunked_from` on.
void PrefixCache::touch(const std::vector<Node*>& path, int64_t chunked_from) {
  for (size_t i = path.size(); i-- > 0;) {
    Node& node = *path[i];
    by_use_.erase(node.used);
    node.used = ++clock_;
    by_use_[node.used] = &node;
    if (node.chunked_used != 0 && node.block.end > chunked_from) {
      by_chunked_use_.erase(node.chunked_used);
      node.chunked_used = ++clock_;
      by_chunked_use_[node.chunked_used] = &node;
    }
  }
}

PrefixCache::Match PrefixCache::restore(std::span<const Identity> tokens) {
  const Path path = find(tokens);
  const auto blocks = blocks_of(path.nodes);
  const int64_t length = cache_.adoptable(blocks, path.length);
  touch(path.nodes, cache_.visible_from(length));
  if (length == 0) return {cache_.create(), 0};
  return {cache_.adopt(blocks, length), length};
}

int64_t PrefixCache::known(std::span<const Identity> tokens) const {
  const Path path = find(tokens);
  return cache_.adoptable(blocks_of(path.nodes), path.length);
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
    fill_chunked(found, sequence);
    if (found.edge.size() == key.size()) return &found;
    if (cache_.whole(found.block)) {
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
  made->used = ++clock_;
  made->chunked_used = ++clock_;
  by_use_[made->used] = made.get();
  by_chunked_use_[made->chunked_used] = made.get();
  return parent.children.emplace(key, std::move(made)).first->second.get();
}

// A block that lost its chunked pages gets them from a sequence that has them.
void PrefixCache::fill_chunked(Node& node, int64_t sequence) {
  if (cache_.length(sequence) < node.block.end) return;
  KvBlock fresh = cache_.keep(sequence, node.block.begin, node.block.end);
  size_t more = 0;
  size_t less = 0;
  for (size_t kind = 0; kind < fresh.tables.size(); ++kind) {
    if (fresh.tables[kind].pages.size() > node.block.tables[kind].pages.size()) ++more;
    if (fresh.tables[kind].pages.size() < node.block.tables[kind].pages.size()) ++less;
  }
  if (more == 0 || less > 0) {
    cache_.drop(fresh);
    return;
  }
  std::swap(node.block, fresh);
  cache_.drop(fresh);
  if (node.chunked_used != 0) by_chunked_use_.erase(node.chunked_used);
  node.chunked_used = ++clock_;
  by_chunked_use_[node.chunked_used] = &node;
}

bool PrefixCache::forget_one() {
  if (by_use_.empty()) return false;
  if (!by_chunked_use_.empty() && by_chunked_use_.begin()->first < by_use_.begin()->first) {
    Node& node = *by_chunked_use_.begin()->second;
    cache_.drop_chunked(node.block);
    by_chunked_use_.erase(by_chunked_use_.begin());
    node.chunked_used = 0;
    return true;
  }
  remove(*by_use_.begin()->second);
  return true;
}

void PrefixCache::remove(Node& node) {
  cache_.drop(node.block);
  by_use_.erase(node.used);
  if (node.chunked_used != 0) by_chunked_use_.erase(node.chunked_used);
  Node& parent = *node.parent;
  parent.children.erase(parent.children.find(node.edge));
}

void PrefixCache::clear() {
  while (!by_use_.empty()) remove(*by_use_.begin()->second);
}

int64_t PrefixCache::bytes_alone() const {
  int64_t bytes = 0;
  for (const auto& [used, node] : by_use_) bytes += cache_.bytes_alone(node->block);
  return bytes;
}

}  // namespace corral::kv
