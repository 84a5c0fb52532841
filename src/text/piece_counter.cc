#include "text/piece_counter.h"

#include <algorithm>

#include "base/error.h"
#include "text/vocabulary.h"

namespace corral::text {

PieceCounter::PieceCounter(std::shared_ptr<const Splitter> splitter, int64_t max_pieces)
    : splitter_(std::move(splitter)), max_pieces_(static_cast<size_t>(max_pieces)) {
  if (max_pieces < 1 || max_pieces > UINT32_MAX / 4) {
    throw UsageError(str("tokenizer training: room for ", max_pieces,
                         " distinct pieces, needs 1 to ", UINT32_MAX / 4));
  }
  rebuild_slots(1024);
}

void PieceCounter::add(std::string_view document) {
  total_bytes_ += static_cast<int64_t>(document.size());
  TextSlices slices(document);
  for (std::string_view slice = slices.next(); !slice.empty(); slice = slices.next()) {
    for (size_t at = 0; at < slice.size();) {
      const size_t end = splitter_->piece_end(slice, at);
      if (end - at <= kMaxPieceBytes) count(slice.substr(at, end - at));
      at = end;
    }
  }
}

void PieceCounter::count(std::string_view piece) {
  const auto hash = static_cast<uint32_t>(hash_bytes(piece));
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at] != 0) {
    Entry& entry = pieces_[slots_[at] - 1];
    if (entry.hash == hash && bytes(entry) == piece) {
      ++entry.count;
      return;
    }
    at = (at + 1) & mask;
  }
  if (pieces_.size() >= max_pieces_) {
    forget_rare();
    return count(piece);
  }
  pieces_.push_back({arena_.size(), static_cast<uint32_t>(piece.size()), hash, 1});
  arena_ += piece;
  slots_[at] = static_cast<uint32_t>(pieces_.size());
  if (pieces_.size() * 2 > slots_.size()) rebuild_slots(slots_.size() * 2);
}

void PieceCounter::rebuild_slots(size_t slots) {
  slots_.assign(slots, 0);
  for (size_t i = 0; i < pieces_.size(); ++i) {
    size_t at = pieces_[i].hash & (slots - 1);
    while (slots_[at] != 0) at = (at + 1) & (slots - 1);
    slots_[at] = static_cast<uint32_t>(i + 1);
  }
}

void PieceCounter::forget_rare() {
  // The smallest threshold that frees half the room.
  std::vector<int64_t> counts;
  counts.reserve(pieces_.size());
  for (const Entry& entry : pieces_) counts.push_back(entry.count);
  const auto middle = counts.begin() + static_cast<std::ptrdiff_t>(counts.size() / 2);
  std::nth_element(counts.begin(), middle, counts.end());
  const int64_t threshold = *middle;
  forgotten_below_ = std::max(forgotten_below_, threshold + 1);

  std::string arena;
  size_t kept = 0;
  for (const Entry& entry : pieces_) {
    if (entry.count <= threshold) continue;
    Entry moved = entry;
    moved.offset = arena.size();
    arena += bytes(entry);
    pieces_[kept++] = moved;
  }
  pieces_.resize(kept);
  arena_ = std::move(arena);
  rebuild_slots(slots_.size());
}

std::vector<PieceCounter::Piece> PieceCounter::sorted() const {
  std::vector<Piece> sorted;
  sorted.reserve(pieces_.size());
  for (const Entry& entry : pieces_) sorted.push_back({bytes(entry), entry.count});
  std::sort(sorted.begin(), sorted.end(),
            [](const Piece& a, const Piece& b) { return a.bytes < b.bytes; });
  return sorted;
}

}  // namespace corral::text
