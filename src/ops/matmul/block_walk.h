#pragma once

// Walks rows of B in blocks along K. For *_isa.cc files.

#include "ops/matmul/block_formats.h"
#include "ops/matmul/block_kernel.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// Four rows of B, from `col` on; behind the last row of B the last is taken again.
template <class Format>
class RowWalk {
 public:
  RowWalk(const BlockPiece& p, int64_t col) : groups_(p.groups), ahead_(kRowsB * p.b_row_bytes) {
    row_[0] = p.b + col * p.b_row_bytes;
    for (int64_t j = 1; j < kRowsB; ++j) {
      row_[j] = row_[j - 1] + (col + j < p.n ? p.b_row_bytes : 0);
    }
  }

  /// f(quad, codes of each row, scales) for the whole quads among `count` from `first` on. first
  /// and count are whole steps of the format.
  template <class F>
  void whole_quads(int64_t first, int64_t count, const F& f) const {
    constexpr int64_t kStepGroups = kQuadGroups * Format::kStepQuads;
    const int64_t end =
        simd::CORRAL_ISA::min((first + count) / Format::kStepQuads, groups_ / kStepGroups);
    for (int64_t step = first / Format::kStepQuads; step < end; ++step) {
      const std::byte* at[kRowsB];
      for (int64_t j = 0; j < kRowsB; ++j) {
        at[j] = row_[j] + step * Format::kStepBytes;
        // As far along in the rows that come after these four, into the second cache: the first
        // waits for too few lines at a time.
        for (int line = 0; line < Format::kStepBytes; line += 64) {
          __builtin_prefetch(at[j] + ahead_ + line, 0, 2);
        }
      }
#pragma GCC unroll 2
      for (int part = 0; part < Format::kStepQuads; ++part) {
        one_quad<kQuadGroups>(at, step * Format::kStepQuads + part, part, f);
      }
    }
  }

  /// f of the quad inside which the rows end. Only formats with blocks of 32 have one.
  template <class F>
  void last_quad(const F& f) const {
    const int64_t quad = groups_ / kQuadGroups;
    const std::byte* at[kRowsB];
    for (int64_t j = 0; j < kRowsB; ++j) at[j] = row_[j] + quad * Format::kStepBytes;
    switch (groups_ % kQuadGroups) {
      case 1:
        return one_quad<1>(at, quad, 0, f);
      case 2:
        return one_quad<2>(at, quad, 0, f);
      default:
        return one_quad<3>(at, quad, 0, f);
    }
  }

 private:
  template <int kGroups, class F>
  static void one_quad(RowsAt at, int64_t quad, int part, const F& f) {
    const Codes codes[kRowsB] = {
        Format::template codes<kGroups>(at[0], part), Format::template codes<kGroups>(at[1], part),
        Format::template codes<kGroups>(at[2], part), Format::template codes<kGroups>(at[3], part)};
    f(quad, codes, Format::template scales<kGroups>(at, part));
  }

  int64_t groups_;
  int64_t ahead_;
  const std::byte* row_[kRowsB];
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
