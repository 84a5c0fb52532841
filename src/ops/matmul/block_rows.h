#pragma once

// Products of few rows of A, which wait for memory: B is read once, four rows at a time, and
// nothing of it is written anywhere. For *_isa.cc files.

#include "ops/matmul/ahead.h"
#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_walk.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// Four rows of A at a time share what is unpacked of B. Twice as much unpacking costs more than a
// panel does where a vector takes two registers.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr int64_t kFewRows = 4;
#else
constexpr int64_t kFewRows = 8;
#endif

/// The sum, in 32 bits unless it is to stay as it is.
template <class Of, bool kStays, class Sum>
inline auto widened(Sum sum, I32 with = I32{}) {
  if constexpr (kStays) {
    return sum;
  } else if constexpr (sizeof(sum[0]) == sizeof(int32_t)) {
    return sum + with;
  } else {
    return Of::end(sum, with);
  }
}

/// Lane g, element j of the result is the sum of lane g of sums[j], each of kWords words an
/// element, and of `with`. Of one that has room for more of them, lanes are folded before they need
/// 32 bits.
template <class Format, int64_t kWords, class Of>
inline Ints sums_of_rows(const AllProducts<Of> (&sums)[kRowsB], const Ints& with) {
  constexpr bool kRoomForTwo = 2 * kWords <= Format::kWords;
  constexpr bool kRoomForFour = 4 * kWords <= Format::kWords;
  return each<Ints>([&](int i) -> I32 {
    const auto two_rows = [&](size_t j) {
      const auto a = widened<Of, kRoomForTwo>(sums[j].part[i]);
      const auto b = widened<Of, kRoomForTwo>(sums[j + 1].part[i]);
      return widened<Of, kRoomForFour>(unpack_low_32(a, b) + unpack_high_32(a, b));
    };
    const auto ab = two_rows(0);
    const auto cd = two_rows(2);
    return widened<Of, false>(unpack_low_64(ab, cd) + unpack_high_64(ab, cd), with.part[i]);
  });
}

/// The dots of a quad of A, or of the first or the last 16 values of its groups, with four rows of
/// B: lane g, element j for group g and row j. products(j, sum) adds those of row j, kWords words
/// an element.
template <class Format, int64_t kWords, class F>
inline Ints dots(const int32_t* start, const F& products) {
  using Of = Products<Format::kWide>;
  const Ints with = Of::kBeginWith ? lane_starts(start) : broadcast(0);
  AllProducts<Of> sums[kRowsB];
#pragma GCC unroll 4
  for (size_t j = 0; j < kRowsB; ++j) {
    sums[j].begin(with);
    products(j, sums[j]);
  }
  const bool end_with = !Of::kBeginWith && Format::kOffset != 0;
  return sums_of_rows<Format, kWords>(sums, end_with ? spread(start) : broadcast(0));
}

/// One step of the chains of a row of A with four rows of B: codes(j) of row j, scales() of all.
template <class Format, class CodesOf, class ScalesOfAll>
inline Floats add_quad(Floats chains, const BlockRows& a, int64_t at, const CodesOf& codes,
                       const ScalesOfAll& scales) {
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  const auto first = load64<Bytes>(a.bytes + at * kQuad);
  const auto last = load64<Bytes>(a.bytes + at * kQuad + 64);
  const int32_t* start = a.start + at * kHalves * kQuadGroups;
  Ints all[Format::kHalves];
  if constexpr (kHalves == 1) {
    all[0] = dots<Format, 2>(start, [&](size_t j, auto& sum) {
      const Codes b = codes(j);
      sum.add(b.first, first);
      sum.add(b.last, last);
    });
  } else {
    all[0] = dots<Format, 1>(start, [&](size_t j, auto& sum) { sum.add(codes(j).first, first); });
    all[1] = dots<Format, 1>(start + 4, [&](size_t j, auto& sum) { sum.add(codes(j).last, last); });
  }
  const Scales<Format::kHalves> b = scales();
  const Floats a_scale = spread(a.scales + at * kQuadGroups);
  for (int64_t h = 0; h < kHalves; ++h) chains = add_scaled(chains, all[h], a_scale, b.scale[h]);
  if constexpr (Format::kMinimum) {
    const float* sums = a.sums + at * kHalves * kQuadGroups;
    for (int64_t h = 0; h < kHalves; ++h) {
      chains = add_product(chains, spread(sums + h * kQuadGroups), b.minimum[h]);
    }
  }
  return chains;
}

/// One step of the chain of the group `group`, in which no whole quad of the row ends: a lane of
/// the sums is here a row of B.
template <class Format>
inline F4 add_group(F4 chain, const BlockRows& a, int64_t quads_before, int64_t group,
                    const RowWalk<Format>& walk) {
  const std::byte* blocks[kRowsB];
  walk.blocks(group, blocks);
  const Codes b = Format::codes(LooseBlocks{blocks}, 0);
  const BlockScales scales = Format::block_scales(blocks);
  const int64_t at = quads_before * kQuadGroups + group;
  const int8_t* bytes =
      a.bytes + (quads_before + group / kQuadGroups) * kQuad + group % kQuadGroups * 16;
  const auto first = same_lanes(reinterpret_cast<const std::byte*>(bytes));
  const auto last = same_lanes(reinterpret_cast<const std::byte*>(bytes + 64));
  const Ints sums =
      dot4<Format::kWide>(dot4<Format::kWide>(broadcast(0), b.first, first), b.last, last);
  const int32_t start = Products<Format::kWide>::total(a.start[at]);
  const F4 dot = __builtin_convertvector(lane_sums(sums) + start, F4);
  chain = fma4(dot, a.scales[at] * scales.scale, chain);
  if constexpr (Format::kMinimum) chain = fma4(a.sums[at] - F4{}, scales.minimum, chain);
  return chain;
}

// Each of the four rows of B is a stream of its own, which asks so far ahead: the four together for
// what is read while the memory answers.
constexpr int64_t kBytesAhead = 2048;

/// The totals of a row of A with four rows of B, `apart` from each other, from the chains of their
/// whole quads.
template <class Format>
inline void finish(const BlockPiece& p, int64_t row, int64_t col, int64_t apart,
                   const RowWalk<Format>& walk, const Floats& chains) {
  F4 lane[kQuadGroups];
  store64(lane, chains);
  if constexpr (Format::kStepQuads == 1) {
    for (int64_t g = p.groups / kQuadGroups * kQuadGroups; g < p.groups; ++g) {
      F4& chain = lane[g % kQuadGroups];
      chain = add_group<Format>(chain, p.a, row * p.quads(), g, walk);
    }
  }
  const F4 totals = ((lane[0] + lane[1]) + lane[2]) + lane[3];
  float* const c = p.c + row * p.c_row_stride;
  for (int64_t j = 0; j < kRowsB && col + j * apart < p.n; ++j) {
    float& to = c[(col + j * apart) * p.c_col_stride];
    to = p.accumulate ? to + totals[j] : totals[j];
  }
}

/// kRowsA rows of A times four rows of B.
template <class Format, size_t kRowsA>
CORRAL_FLATTEN void rows_tile(const BlockPiece& p, int64_t row, int64_t col, int64_t apart) {
  const int64_t quads = p.quads();
  Floats chains[kRowsA];
  for (Floats& c : chains) c = broadcast(0.0f);
  const auto add = [&](int64_t quad, const auto& codes, const auto& scales) {
    if constexpr (kRowsA == 1) {
      // As they are needed, or there would not be registers enough.
      chains[0] = add_quad<Format>(chains[0], p.a, row * quads + quad, codes, scales);
    } else {
      const Codes b[kRowsB] = {codes(0), codes(1), codes(2), codes(3)};
      const Scales<Format::kHalves> of_b = scales();
#pragma GCC unroll 4
      for (size_t i = 0; i < kRowsA; ++i) {
        chains[i] = add_quad<Format>(
            chains[i], p.a, (row + static_cast<int64_t>(i)) * quads + quad,
            [&](size_t j) { return b[j]; }, [&] { return of_b; });
      }
    }
  };
  const RowWalk<Format> walk(p, col, apart);
  walk.whole_quads(kBytesAhead, add);
  for (size_t i = 0; i < kRowsA; ++i) {
    finish<Format>(p, row + static_cast<int64_t>(i), col, apart, walk, chains[i]);
  }
}

template <class Format>
[[gnu::noinline]] void several_rows(const BlockPiece& p) {
  const int64_t apart = rows_between(kRowsB, p.n, p.b_row_bytes, 1);
  for (int64_t col = 0; col < apart; ++col) {
    int64_t row = 0;
    if constexpr (kParts <= 2) {  // else there are not registers enough
      for (; row + 4 <= p.m; row += 4) rows_tile<Format, 4>(p, row, col, apart);
      if (row + 3 == p.m) {
        rows_tile<Format, 3>(p, row, col, apart);
        row += 3;
      }
    }
    for (; row + 2 <= p.m; row += 2) rows_tile<Format, 2>(p, row, col, apart);
    for (; row < p.m; ++row) rows_tile<Format, 1>(p, row, col, apart);
  }
}

/// BlockKernel::rows.
template <class Format>
CORRAL_FLATTEN void rows(const BlockPiece& p) {
  if (p.m != 1) return several_rows<Format>(p);
  const int64_t apart = rows_between(kRowsB, p.n, p.b_row_bytes, 1);
  for (int64_t col = 0; col < apart; ++col) rows_tile<Format, 1>(p, 0, col, apart);
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
