#pragma once

// Walks rows of B in blocks along K. For *_isa.cc files.

#include "ops/matmul/block_formats.h"
#include "ops/matmul/block_kernel.h"

namespace corral::ops::CORRAL_ISA {
namespace {

constexpr int64_t kRowsB = 4;

/// Four rows of B, from `col` on; behind the last row of B the last is taken again.
template <class Format>
class RowWalk {
 public:
  RowWalk(const BlockPiece& p, int64_t col) : groups_(p.groups), ahead_(kRowsB * p.b_row_bytes) {
    for (int64_t j = 0; j < kRowsB; ++j) {
      row_[j] = p.b + simd::CORRAL_ISA::min(col + j, p.n - 1) * p.b_row_bytes;
    }
  }

  /// f(quad, unpacked) for `count` quads from `first` on, where unpacked is a Quad of each row.
  /// first and count are whole steps of the format.
  template <class F>
  void quads(int64_t first, int64_t count, const F& f) const {
    constexpr int64_t kStepGroups = kQuadGroups * Format::kStepQuads;
    const int64_t end = (first + count) / Format::kStepQuads;
    const int64_t whole = simd::CORRAL_ISA::min(end, groups_ / kStepGroups);
    int64_t step = first / Format::kStepQuads;
    for (; step < whole; ++step) {
      const std::byte* at[kRowsB];
      for (int64_t j = 0; j < kRowsB; ++j) {
        at[j] = row_[j] + step * Format::kStepBytes;
        // As far along in the rows that come after these four.
        for (int line = 0; line < Format::kStepBytes; line += 64) {
          __builtin_prefetch(at[j] + ahead_ + line);
        }
      }
#pragma GCC unroll 2
      for (int part = 0; part < Format::kStepQuads; ++part) {
        one_quad(at, step * Format::kStepQuads + part, part, f);
      }
    }
    if constexpr (Format::kStepQuads == 1) {
      if (step < end) last_quad(step, f);
    }
  }

 private:
  template <class F>
  static void one_quad(const std::byte* const* at, int64_t quad, int part, const F& f) {
    const Quad<Format::kHalves> b[kRowsB] = {
        Format::unpack(at[0], part), Format::unpack(at[1], part), Format::unpack(at[2], part),
        Format::unpack(at[3], part)};
    f(quad, b);
  }

  /// The row ends inside this quad: groups of zeros stand for what is behind.
  template <class F>
  void last_quad(int64_t quad, const F& f) const {
    std::byte padded[kRowsB][Format::kStepBytes] = {};
    const std::byte* at[kRowsB];
    const int64_t bytes = groups_ % kQuadGroups * Format::kBlockBytes;
    for (int64_t j = 0; j < kRowsB; ++j) {
      std::memcpy(padded[j], row_[j] + quad * Format::kStepBytes, static_cast<size_t>(bytes));
      at[j] = padded[j];
    }
    one_quad(at, quad, 0, f);
  }

  int64_t groups_;
  int64_t ahead_;
  const std::byte* row_[kRowsB];
};

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
