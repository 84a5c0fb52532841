#pragma once

// Memory that is asked for while something else is computed. For *_isa.cc files.

#include <cstdint>

namespace corral::ops::CORRAL_ISA {
namespace {

constexpr int64_t kLineBytes = 64;
// How near what is read once is brought, as __builtin_prefetch() counts. AMD's processors
// (matmul_few.h) then do not keep it in the level-2 cache, where it seems to take the place of A
// and of code: products of 8 to 12 rows are 1.1 to 1.2 times as fast, and no longer faster or
// slower by where the system has put the program's pages. Others are not measured.
#if defined(__AVX512BF16__) && !defined(CORRAL_TILES)
constexpr int kReadOnce = 0;
#else
constexpr int kReadOnce = 2;
#endif

/// How many parts of at most `most` make up the whole.
inline int64_t parts_of(int64_t whole, int64_t most) { return (whole + most - 1) / most; }

/// How many rows lie between streams, at least two, that share them: memory answers several streams
/// faster than one. A part of the rows in multiples of `each`, or a little more where the streams
/// would else stand at the same places of their pages.
inline int64_t rows_between(int64_t streams, int64_t rows, int64_t row_bytes, int64_t each) {
  constexpr int64_t kPageBytes = 4096;
  const int64_t even = 2 * kPageBytes / streams;  // half of it, and they share a page evenly
  const int64_t least = parts_of(parts_of(rows, streams), each) * each;
  for (int64_t between = least; between <= least + least / 16; between += each) {
    const int64_t place = between * row_bytes % even;
    if (place >= even / 4 && place <= even * 3 / 4) return between;
  }
  return least;
}

/// Lines of cache: `rows` runs of lines_each lines.
struct Lines {
  const char* at;
  int64_t rows;
  int64_t stride_bytes;
  int64_t lines_each;

  int64_t count() const { return rows * lines_each; }
};

/// Brings what will be packed next into the level-2 cache, a line at a time between what is
/// computed: a burst of them would stop that until memory has answered.
class Ahead {
 public:
  /// Lines to read after those added before; at most twice.
  void add(const Lines& lines) {
    if (lines.rows > 0 && lines.lines_each > 0) runs_[count_++] = lines;
    if (count_ == 1 && run_ == 0) next_run();
  }

  /// Has all lines added so far asked for in so many turns.
  void spread_over(int64_t turns) {
    int64_t lines = 0;
    for (int i = 0; i < count_; ++i) lines += runs_[i].count();
    each_turn_ = turns > 0 ? parts_of(lines, turns) : 0;
  }
  /// Some turns whose lines follow one another, for a loop that keeps them in registers.
  struct Stretch {
    const char* at;
    int64_t step_bytes;
    int64_t lines;  // a turn
    int64_t turns;

    [[gnu::always_inline]] void take_turn() {
      for (int64_t i = 0; i < lines; ++i) {
        __builtin_prefetch(at, 0, kReadOnce);
        at += step_bytes;
      }
    }
  };
  /// The next turns, at most so many, which the caller takes. The last of a row may ask for some
  /// lines behind it.
  Stretch stretch(int64_t most_turns) {
    Stretch stretch = {at_, step_bytes_, each_turn_, most_turns};
    if (each_turn_ == 0) return stretch;
    const int64_t to_end = parts_of(left_, each_turn_);
    if (to_end <= most_turns) {
      stretch.turns = to_end;
      next_row();
    } else {
      at_ += most_turns * each_turn_ * step_bytes_;
      left_ -= most_turns * each_turn_;
    }
    return stretch;
  }

  /// Inlined: a call would cost a tile as much as it does.
  [[gnu::always_inline]] void take_turn() {
    for (int64_t i = 0; i < each_turn_; ++i) fetch();
  }

 private:
  static constexpr int64_t kForever = int64_t{1} << 62;
  static constexpr char kAnyLine = 0;

  /// Asks for the next line.
  [[gnu::always_inline]] void fetch() {
    __builtin_prefetch(at_, 0, kReadOnce);
    at_ += step_bytes_;
    if (--left_ == 0) next_row();
  }
  [[gnu::noinline]] void next_row() {
    if (--rows_ == 0) return next_run();
    row_ += stride_bytes_;
    at_ = row_;
    left_ = each_;
  }
  void next_run() {
    if (run_ == count_) {  // the last line again and again costs nothing
      at_ -= step_bytes_;
      step_bytes_ = 0;
      left_ = kForever;
      return;
    }
    const Lines& lines = runs_[run_++];
    at_ = row_ = lines.at;
    rows_ = lines.rows;
    stride_bytes_ = lines.stride_bytes;
    left_ = each_ = lines.lines_each;
    step_bytes_ = kLineBytes;
  }

  const char* at_ = &kAnyLine;
  int64_t left_ = kForever;
  int64_t step_bytes_ = 0;
  const char* row_ = nullptr;
  int64_t rows_ = 0;
  int64_t stride_bytes_ = 0;
  int64_t each_ = 0;
  int64_t each_turn_ = 0;
  Lines runs_[2] = {};
  int count_ = 0;
  int run_ = 0;
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
