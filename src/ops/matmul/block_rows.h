#pragma once

// Products of few rows of A, which wait for memory: B is read once, four rows at a time, and
// nothing of it is written anywhere. For *_isa.cc files.

#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_walk.h"

namespace corral::ops::CORRAL_ISA {
namespace {

/// The dots of a quad of A with four rows of B: lane g, element j for group g and row j.
template <class Format>
inline Ints dots(const Ints& start, const Bytes& a, const Bytes (&b)[kRowsB]) {
  Ints sums[kRowsB];
#pragma GCC unroll 4
  for (int64_t j = 0; j < kRowsB; ++j) sums[j] = dot4<Format::kWide>(start, b[j], a);
  return sums_of_lanes(sums[0], sums[1], sums[2], sums[3]);
}
template <class Format>
inline Ints dots(const Ints& start, const Bytes& first, const Bytes& last,
                 const Quad<Format::kHalves> (&b)[kRowsB]) {
  Ints sums[kRowsB];
#pragma GCC unroll 4
  for (int64_t j = 0; j < kRowsB; ++j) {
    sums[j] = dot4<Format::kWide>(dot4<Format::kWide>(start, b[j].first, first), b[j].last, last);
  }
  return sums_of_lanes(sums[0], sums[1], sums[2], sums[3]);
}

/// One step of the chains of a row of A with four rows of B.
template <class Format>
inline Floats add_quad(Floats chains, const BlockRows& a, int64_t at,
                       const Quad<Format::kHalves> (&b)[kRowsB], const Floats* scale,
                       const Floats* minimum) {
  constexpr size_t kHalves = Format::kHalves;
  const auto first = load64<Bytes>(a.bytes + at * kQuad);
  const auto last = load64<Bytes>(a.bytes + at * kQuad + 64);
  const Floats a_scale = spread(a.scales + at * kQuadGroups);
  const int32_t* start = a.start + at * static_cast<int64_t>(kHalves) * kQuadGroups;
  if constexpr (kHalves == 1) {
    const Ints dot = dots<Format>(lane_starts(start), first, last, b);
    chains = add_scaled(chains, dot, a_scale, scale[0]);
  } else {
    Bytes half[2][kRowsB];
    for (int64_t j = 0; j < kRowsB; ++j) {
      half[0][j] = b[j].first;
      half[1][j] = b[j].last;
    }
    chains =
        add_scaled(chains, dots<Format>(lane_starts(start), first, half[0]), a_scale, scale[0]);
    chains = add_scaled(chains, dots<Format>(lane_starts(start + kQuadGroups), last, half[1]),
                        a_scale, scale[1]);
  }
  if constexpr (Format::kMinimum) {
    const float* sums = a.sums + at * static_cast<int64_t>(kHalves) * kQuadGroups;
    for (size_t h = 0; h < kHalves; ++h) {
      chains =
          add_product(chains, spread(sums + static_cast<int64_t>(h) * kQuadGroups), minimum[h]);
    }
  }
  return chains;
}

/// Lane g of `chains` is chain g of four rows of B.
inline void store_totals(const BlockPiece& p, int64_t row, int64_t col, const Floats& chains) {
  float lanes[kQuadGroups][kRowsB];
  std::memcpy(lanes, &chains, sizeof(lanes));
  for (int64_t j = 0; j < kRowsB && col + j < p.n; ++j) {
    const float total = ((lanes[0][j] + lanes[1][j]) + lanes[2][j]) + lanes[3][j];
    float& c = p.c[row * p.c_row_stride + (col + j) * p.c_col_stride];
    c = p.accumulate ? c + total : total;
  }
}

template <class Format, size_t kRowsA>
void rows_tile(const BlockPiece& p, int64_t row, int64_t col) {
  constexpr size_t kHalves = Format::kHalves;
  const int64_t quads = p.quads();
  Floats chains[kRowsA];
  for (Floats& c : chains) c = broadcast(0.0f);
  RowWalk<Format>(p, col).quads(0, quads, [&](int64_t quad, const Quad<kHalves>(&b)[kRowsB]) {
    Floats scale[kHalves];
    Floats minimum[kHalves];
    for (size_t h = 0; h < kHalves; ++h) {
      scale[h] = transposed(b[0].scale[h], b[1].scale[h], b[2].scale[h], b[3].scale[h]);
      if constexpr (Format::kMinimum) {
        minimum[h] = transposed(b[0].minimum[h], b[1].minimum[h], b[2].minimum[h], b[3].minimum[h]);
      }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < kRowsA; ++i) {
      chains[i] = add_quad<Format>(chains[i], p.a, (row + static_cast<int64_t>(i)) * quads + quad,
                                   b, scale, minimum);
    }
  });
  for (size_t i = 0; i < kRowsA; ++i)
    store_totals(p, row + static_cast<int64_t>(i), col, chains[i]);
}

template <class Format>
void rows(const BlockPiece& p) {
  for (int64_t col = 0; col < p.n; col += kRowsB) {
    int64_t row = 0;
    for (; row + 4 <= p.m; row += 4) rows_tile<Format, 4>(p, row, col);
    for (; row + 2 <= p.m; row += 2) rows_tile<Format, 2>(p, row, col);
    for (; row < p.m; ++row) rows_tile<Format, 1>(p, row, col);
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
