#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/splitter.h"

namespace corral::text {

/// Counts the distinct pieces of a corpus in bounded memory: when there are more than max_pieces,
/// the rarest are forgotten (all of one count at a time, so the outcome does not depend on
/// hashing).
class PieceCounter {
 public:
  struct Piece {
    std::string_view bytes;
    int64_t count;
  };

  /// max_pieces >= 1. Pieces beyond kMaxPieceBytes are not counted: no token is that long.
  PieceCounter(std::shared_ptr<const Splitter> splitter, int64_t max_pieces);
  static constexpr size_t kMaxPieceBytes = 256;

  void add(std::string_view document);

  int64_t distinct() const { return static_cast<int64_t>(pieces_.size()); }
  int64_t total_bytes() const { return total_bytes_; }
  /// How often at least a piece must have occurred since it was last forgotten to be still here.
  int64_t forgotten_below() const { return forgotten_below_; }

  /// All pieces in order of their bytes. The views live until the next add().
  std::vector<Piece> sorted() const;

 private:
  struct Entry {
    size_t offset;
    uint32_t size_bytes;
    uint32_t hash;
    int64_t count;
  };
  void count(std::string_view piece);
  void rebuild_slots(size_t slots);
  void forget_rare();
  std::string_view bytes(const Entry& entry) const {
    return {arena_.data() + entry.offset, entry.size_bytes};
  }

  std::shared_ptr<const Splitter> splitter_;
  size_t max_pieces_;
  std::string arena_;
  std::vector<Entry> pieces_;
  std::vector<uint32_t> slots_;  // index into pieces_ + 1, 0 is free
  int64_t total_bytes_ = 0;
  int64_t forgotten_below_ = 1;
};

}  // namespace corral::text
