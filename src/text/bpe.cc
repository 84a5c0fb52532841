#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace corral::text {
namespace {

constexpr size_t kShortPieceBytes = 64;

bool results_never_decrease(std::span<const Merge> merges) {
  return std::is_sorted(merges.begin(), merges.end(),
                        [](const Merge& a, const Merge& b) { return a.result < b.result; });
}

}  // namespace

MergeTable::MergeTable(std::span<const Merge> merges) {
  const size_t slots = std::bit_ceil(std::max<size_t>(merges.size() * 2, 16));
  shift_ = 64 - std::countr_zero(slots);
  slots_.resize(slots);
  const bool by_result = results_never_decrease(merges);
  if (!by_result) results_.reserve(merges.size());
  int32_t place = 0;
  for (const Merge& merge : merges) {
    if (!by_result) results_.push_back(merge.result);
    const int32_t priority = by_result ? merge.result : place;
    ++place;
    size_t at = home(merge.left, merge.right);
    while (slots_[at].left >= 0 &&
           (slots_[at].left != merge.left || slots_[at].right != merge.right)) {
      at = (at + 1) & (slots - 1);
    }
    if (slots_[at].left < 0) slots_[at] = {merge.left, merge.right, priority};
  }
}

std::vector<Merge> all_merges(const Vocabulary& vocabulary) {
  std::vector<Merge> merges;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view bytes = vocabulary.bytes(id);
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const TokenId left = vocabulary.find(bytes.substr(0, cut));
      if (left < 0) continue;
      const TokenId right = vocabulary.find(bytes.substr(cut));
      if (right >= 0) merges.push_back({left, right, id});
    }
  }
  return merges;
}

void BytePairEncoder::encode(std::string_view piece, std::vector<TokenId>& out) {
  if (piece.size() <= kShortPieceBytes) {
    encode_short(piece, out);
  } else {
    encode_long(piece, out);
  }
}

void BytePairEncoder::encode_short(std::string_view piece, std::vector<TokenId>& out) {
  TokenId ids[kShortPieceBytes];
  MergeTable::Entry entries[kShortPieceBytes];  // of (i, i + 1)
  size_t n = piece.size();
  for (size_t i = 0; i < n; ++i) ids[i] = byte_ids_[static_cast<unsigned char>(piece[i])];
  for (size_t i = 0; i + 1 < n; ++i) entries[i] = merges_.find(ids[i], ids[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (entries[i].priority < entries[best].priority) best = i;
    }
    if (entries[best].priority == MergeTable::kNever) break;
    ids[best] = entries[best].result;
    --n;
    std::copy(ids + best + 2, ids + n + 1, ids + best + 1);
    std::copy(entries + best + 1, entries + n, entries + best);
    if (best + 1 < n) entries[best] = merges_.find(ids[best], ids[best + 1]);
    if (best > 0) entries[best - 1] = merges_.find(ids[best - 1], ids[best]);
  }
  out.insert(out.end(), ids, ids + n);
}

void BytePairEncoder::push(int32_t at) {
  const Node& node = nodes_[static_cast<size_t>(at)];
  if (node.next < 0) return;
  const TokenId right = nodes_[static_cast<size_t>(node.next)].id;
  const MergeTable::Entry entry = merges_.find(node.id, right);
  if (entry.priority == MergeTable::kNever) return;
  heap_.push_back({entry.priority, at, node.id, right, entry.result});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

void BytePairEncoder::encode_long(std::string_view piece, std::vector<TokenId>& out) {
  const auto n = static_cast<int32_t>(piece.size());
  nodes_.resize(piece.size());
  heap_.clear();
  for (int32_t i = 0; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(piece[static_cast<size_t>(i)]);
    nodes_[static_cast<size_t>(i)] = {byte_ids_[byte], i - 1, i + 1 < n ? i + 1 : -1};
  }
  for (int32_t i = 0; i + 1 < n; ++i) push(i);
  while (!heap_.empty()) {
    const Candidate top = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    Node& node = nodes_[static_cast<size_t>(top.at)];
    // A merged-away node has id -1; a candidate whose tokens have changed since is void.
    if (node.id != top.left || node.next < 0) continue;
    Node& gone = nodes_[static_cast<size_t>(node.next)];
    if (gone.id != top.right) continue;
    node.id = top.result;
    gone.id = -1;
    node.next = gone.next;
    if (node.next >= 0) nodes_[static_cast<size_t>(node.next)].previous = top.at;
    push(top.at);
    if (node.previous >= 0) push(node.previous);
  }
  for (int32_t i = 0; i >= 0; i = nodes_[static_cast<size_t>(i)].next) {
    out.push_back(nodes_[static_cast<size_t>(i)].id);
  }
}

}  // namespace corral::text
