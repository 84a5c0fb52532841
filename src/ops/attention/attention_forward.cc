#include "ops/attention/attention_forward.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/small_vector.h"
#include "ops/matmul/scratch.h"

namespace corral::ops {
namespace {

constexpr int64_t kRangeKeys = kRangeTiles * kKeyTile;
// Queries of a unit: their state should stay in the level-2 cache beside a tile of keys, and there
// should be enough of them that building a tile costs little.
constexpr int64_t kStateFloats = 32768;
constexpr int64_t kMostQueries = 128;
// Rows of a unit up to which its key ranges may go to different threads.
constexpr int64_t kMostSplitRows = 64;

// Some queries of a block for one kv head, over the key ranges [range_begin, range_end).
struct Unit {
  const AttentionBlock* block = nullptr;
  int64_t kv_head = 0;
  int64_t query = 0;  // within the block
  int64_t queries = 0;
  int64_t range_begin = 0;
  int64_t range_end = 0;
  int64_t part = -1;  // where its state goes in the memory of parts; -1: nothing to merge with

  int64_t first_position() const { return block->first_query + query; }
  int64_t last_key() const { return block->last_key(first_position() + queries - 1); }
  int64_t cost() const {
    const int64_t keys = std::min(last_key() + 1, range_end * kRangeKeys) -
                         std::max(block->first_key, range_begin * kRangeKeys);
    return queries * keys;
  }
};

using Units = SmallVector<Unit, 8>;

// What one thread needs for one unit at a time; of each row:
struct Workplace {
  const float** q;
  const uint16_t** q_bf16;
  int64_t* last;
  float** y;
  float* total;
  // of all rows:
  float* state;
  float* part;
  float* tile;
  uint16_t* rounded;  // [rows, C] queries, if the kernel multiplies them in bf16
};

class ForwardPass {
 public:
  ForwardPass(Device& device, const AttentionRows& rows, std::span<const AttentionBlock> blocks,
              TileSource source)
      : device_(device), kernel_(attention_kernel(device)), rows_(rows), source_(source) {
    make_units(blocks);
    split_units();
  }

  void run();

 private:
  void make_units(std::span<const AttentionBlock> blocks);
  void split_units();
  // Both in whole cache lines.
  int64_t workplace_floats() const;
  Workplace workplace(float* memory) const;
  int64_t state_floats(int64_t rows) const {
    return (rows * (rows_.head_size + kSumLanes + 1) + 15) / 16 * 16;
  }
  bool rounds() const { return kernel_.bf16_products && rows_.k_format == KvFormat::kBF16; }
  QueryRows state_at(float* memory, const Unit& unit, const Workplace& place) const;
  void load_queries(const Unit& unit, const Workplace& place) const;
  void attend_range(const Unit& unit, int64_t range, const QueryRows& state, float* tile) const;
  void attend(const Unit& unit, const Workplace& place, float* parts) const;
  void join(const Unit& first, const Workplace& place, float* parts) const;
  void finish(const Unit& unit, const QueryRows& state, const Workplace& place) const;

  Device& device_;
  const AttentionKernel& kernel_;
  const AttentionRows& rows_;
  const TileSource source_;
  Units units_;
  Units joined_;  // split units, whole again; `part` is that of their first range
  int64_t most_rows_ = 0;
  int64_t part_floats_ = 0;
  int64_t operations_ = 0;
};

void ForwardPass::make_units(std::span<const AttentionBlock> blocks) {
  const int64_t group_floats = rows_.group() * rows_.head_size;
  const int64_t most = std::clamp<int64_t>(kStateFloats / group_floats, 1, kMostQueries);
  for (const AttentionBlock& block : blocks) {
    for (int64_t kv_head = 0; kv_head < rows_.kv_heads; ++kv_head) {
      for (int64_t query = 0; query < block.count; query += most) {
        Unit unit = {.block = &block,
                     .kv_head = kv_head,
                     .query = query,
                     .queries = std::min(most, block.count - query)};
        unit.range_begin = block.first_key / kRangeKeys;
        unit.range_end = unit.last_key() / kRangeKeys + 1;
        operations_ += 4 * unit.cost() * rows_.group() * rows_.head_size;
        units_.push_back(unit);
        most_rows_ = std::max(most_rows_, unit.queries * rows_.group());
      }
    }
  }
}

// When there are fewer units than would keep the threads busy, their ranges become units.
void ForwardPass::split_units() {
  if (device_.threads().size() == 1) return;
  const auto enough = static_cast<size_t>(4 * device_.threads().size());
  if (units_.size() < enough) {
    Units split;
    for (const Unit& unit : units_) {
      const int64_t rows = unit.queries * rows_.group();
      if (unit.range_end - unit.range_begin < 2 || rows > kMostSplitRows) {
        split.push_back(unit);
        continue;
      }
      joined_.push_back(unit);
      joined_.back().part = part_floats_;
      for (int64_t range = unit.range_begin; range < unit.range_end; ++range) {
        Unit piece = unit;
        piece.range_begin = range;
        piece.range_end = range + 1;
        piece.part = part_floats_;
        split.push_back(piece);
        part_floats_ += state_floats(rows);
      }
    }
    units_ = std::move(split);
  }
  std::stable_sort(units_.begin(), units_.end(),
                   [](const Unit& a, const Unit& b) { return a.cost() > b.cost(); });
}

int64_t ForwardPass::workplace_floats() const {
  const int64_t row_floats = 4 * 2 + 1;  // four pointers and a float
  const int64_t rounded_floats = rounds() ? most_rows_ * rows_.head_size / 2 : 0;
  const int64_t floats = 2 * state_floats(most_rows_) + 2 * rows_.head_size * kKeyTile +
                         rounded_floats + most_rows_ * row_floats;
  return (floats + 15) / 16 * 16;
}

Workplace ForwardPass::workplace(float* memory) const {
  const auto take = [&memory](int64_t floats) { return std::exchange(memory, memory + floats); };
  Workplace place{};
  place.state = take(state_floats(most_rows_));
  place.part = take(state_floats(most_rows_));
  place.tile = take(2 * rows_.head_size * kKeyTile);
  if (rounds()) {
    place.rounded = reinterpret_cast<uint16_t*>(take(most_rows_ * rows_.head_size / 2));
  }
  place.q = reinterpret_cast<const float**>(take(2 * most_rows_));
  place.q_bf16 = reinterpret_cast<const uint16_t**>(take(2 * most_rows_));
  place.last = reinterpret_cast<int64_t*>(take(2 * most_rows_));
  place.y = reinterpret_cast<float**>(take(2 * most_rows_));
  place.total = take(most_rows_);
  return place;
}

QueryRows ForwardPass::state_at(float* memory, const Unit& unit, const Workplace& place) const {
  QueryRows state;
  state.count = unit.queries * rows_.group();
  state.q = place.q;
  state.q_bf16 = place.q_bf16;
  state.last = place.last;
  state.out = memory;
  state.sum = state.out + state.count * rows_.head_size;
  state.max = state.sum + state.count * kSumLanes;
  return state;
}

// Rows are ordered by position, then by head: neighbours see almost the same keys, and a decode
// step is the same case as a prompt.
void ForwardPass::load_queries(const Unit& unit, const Workplace& place) const {
  int64_t i = 0;
  for (int64_t query = 0; query < unit.queries; ++query) {
    const int64_t row = unit.block->row + unit.query + query;
    for (int64_t g = 0; g < rows_.group(); ++g, ++i) {
      const int64_t head = row * rows_.heads + unit.kv_head * rows_.group() + g;
      place.q[i] = rows_.q_THC + head * rows_.head_size;
      place.y[i] = rows_.out_THC + head * rows_.head_size;
      place.last[i] = unit.block->last_key(unit.first_position() + query);
      if (!rounds()) continue;
      uint16_t* rounded = place.rounded + i * rows_.head_size;
      kernel_.round(place.q[i], rows_.head_size, rounded);
      place.q_bf16[i] = rounded;
    }
  }
}

void ForwardPass::attend_range(const Unit& unit, int64_t range, const QueryRows& state,
                               float* tile) const {
  kernel_.clear(state, rows_.head_size);
  const int64_t first_key = std::max(unit.block->first_key, range * kRangeKeys);
  const int64_t last_key = std::min(unit.last_key(), (range + 1) * kRangeKeys - 1);
  for (int64_t first = first_key / kKeyTile * kKeyTile; first <= last_key; first += kKeyTile) {
    // Queries before the tile see nothing of it.
    const int64_t seeing = std::max(unit.first_position(), unit.block->first_seeing(first));
    const int64_t skipped = (seeing - unit.first_position()) * rows_.group();
    QueryRows rows = state;
    rows.count -= skipped;
    rows.q += skipped;
    rows.q_bf16 += skipped;
    rows.last += skipped;
    rows.out += skipped * rows_.head_size;
    rows.sum += skipped * kSumLanes;
    rows.max += skipped;
    kernel_.attend(rows, source_(*unit.block, unit.kv_head, first, rows.count, tile),
                   rows_.head_size, rows_.scale);
  }
}

void ForwardPass::attend(const Unit& unit, const Workplace& place, float* parts) const {
  load_queries(unit, place);
  if (unit.part >= 0) {
    attend_range(unit, unit.range_begin, state_at(parts + unit.part, unit, place), place.tile);
    return;
  }
  const QueryRows state = state_at(place.state, unit, place);
  const QueryRows part = state_at(place.part, unit, place);
  attend_range(unit, unit.range_begin, state, place.tile);
  for (int64_t range = unit.range_begin + 1; range < unit.range_end; ++range) {
    attend_range(unit, range, part, place.tile);
    kernel_.merge(state, part, rows_.head_size);
  }
  finish(unit, state, place);
}

void ForwardPass::join(const Unit& unit, const Workplace& place, float* parts) const {
  load_queries(unit, place);
  float* at = parts + unit.part;
  const QueryRows state = state_at(at, unit, place);
  for (int64_t range = unit.range_begin + 1; range < unit.range_end; ++range) {
    at += state_floats(state.count);
    kernel_.merge(state, state_at(at, unit, place), rows_.head_size);
  }
  finish(unit, state, place);
}

void ForwardPass::finish(const Unit& unit, const QueryRows& state, const Workplace& place) const {
  kernel_.finish(state, rows_.head_size, place.y, place.total);
  if (rows_.lse_TH == nullptr) return;
  const int64_t group = rows_.group();
  for (int64_t i = 0; i < state.count; ++i) {
    const int64_t row = unit.block->row + unit.query + i / group;
    rows_.lse_TH[row * rows_.heads + unit.kv_head * group + i % group] =
        state.max[i] + std::log(place.total[i]);
  }
}

void ForwardPass::run() {
  const int64_t members = units_.size() > 1 ? device_.threads().size() : 1;
  const int64_t floats = members * workplace_floats() + part_floats_;
  const Scratch scratch(device_, floats * static_cast<int64_t>(sizeof(float)));
  auto* const memory = reinterpret_cast<float*>(scratch.data());
  float* const parts = memory + members * workplace_floats();
  run_units(device_.threads(), std::ssize(units_), operations_, [&](int member, int64_t unit) {
    attend(units_[static_cast<size_t>(unit)], workplace(memory + member * workplace_floats()),
           parts);
  });
  run_units(device_.threads(), std::ssize(joined_), part_floats_, [&](int member, int64_t unit) {
    join(joined_[static_cast<size_t>(unit)], workplace(memory + member * workplace_floats()),
         parts);
  });
}

}  // namespace

void attend_blocks(Device& device, const AttentionRows& rows,
                   std::span<const AttentionBlock> blocks, TileSource source) {
  ForwardPass(device, rows, blocks, source).run();
}

}  // namespace corral::ops
