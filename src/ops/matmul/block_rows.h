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
template <class Format>
#if defined(__AVX512F__)
constexpr int64_t kFewRowsOf = Format::kFewRows;
#elif defined(__AVX2__)
constexpr int64_t kFewRowsOf = 4;
#else
constexpr int64_t kFewRowsOf = 8;
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

/// Element j of a lane of the result is the sum of the lane of sums[j], each of kWords words an
/// element, and of `with`. Of one that has room for more of them, lanes are folded before they need
/// 32 bits.
template <class Format, int64_t kWords, class Of>
inline I32 sums_of_rows(const typename Of::Sum (&sums)[kRowsB], I32 with) {
  constexpr bool kRoomForTwo = 2 * kWords <= Format::kWords;
  constexpr bool kRoomForFour = 4 * kWords <= Format::kWords;
  const auto two_rows = [&](size_t j) {
    const auto a = widened<Of, kRoomForTwo>(sums[j]);
    const auto b = widened<Of, kRoomForTwo>(sums[j + 1]);
    return widened<Of, kRoomForFour>(unpack_low_32(a, b) + unpack_high_32(a, b));
  };
  const auto ab = two_rows(0);
  const auto cd = two_rows(2);
  return widened<Of, false>(unpack_low_64(ab, cd) + unpack_high_64(ab, cd), with);
}

/// Whether several rows of A meet a row of B as it is unpacked, a register of it after the other:
/// then their sums stay in registers. Else four rows of B are unpacked first: with two scales a
/// group registers share most of what is unpacked, and with AVX-512 all of them have room.
template <class Format>
constexpr bool kTogether = kParts == 2 && Format::kHalves == 1;

/// The dots of a quad of rows of A, or of the first or the last 16 values of its groups, with four
/// rows of B: lane g, element j for group g and row j. add(i, part, b, sum) adds, in the register
/// `part`, the products of row i of A with the codes b, kWords words an element.
template <class Format, int64_t kWords, size_t kRowsA, class CodesOf, class Add>
inline void dots(const int32_t* const (&start)[kRowsA], const CodesOf& codes, const Add& add,
                 Ints (&all)[kRowsA]) {
  using Of = Products<Format::kWide>;
  // Of one register after the other what others hold is not computed.
  constexpr size_t kAll = kParts;
  constexpr size_t kAtOnce = kRowsA > 1 ? 1 : kAll;
  const auto with = [&](size_t i, bool here) {
    if (!here || Format::kOffset == 0) return broadcast(0);
    return Of::kBeginWith ? lane_starts(start[i]) : spread(start[i]);
  };
#pragma GCC unroll 2
  for (size_t first = 0; first < kAll; first += kAtOnce) {
    typename Of::Sum sums[kAtOnce][kRowsA][kRowsB];
#pragma GCC unroll 4
    for (size_t j = 0; j < kRowsB; ++j) {
      const Codes b = codes(j);
#pragma GCC unroll 4
      for (size_t i = 0; i < kRowsA; ++i) {
#pragma GCC unroll 4
        for (size_t part = 0; part < kAtOnce; ++part) {
          sums[part][i][j] =
              add(i, first + part, b, Of::begin(with(i, Of::kBeginWith).part[first + part]));
        }
      }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < kRowsA; ++i) {
#pragma GCC unroll 4
      for (size_t part = 0; part < kAtOnce; ++part) {
        const Ints end = with(i, !Of::kBeginWith);
        all[i].part[first + part] =
            sums_of_rows<Format, kWords, Of>(sums[part][i], end.part[first + part]);
      }
    }
  }
}

/// One step of the chains of rows of A, `rows_apart` quads from each other, with four rows of B:
/// codes(j) of row j, scales() of all.
template <class Format, size_t kRowsA, class CodesOf, class ScalesOfAll>
CORRAL_APART inline void add_quad(Floats (&chains)[kRowsA], const BlockRows& a, int64_t at,
                                  int64_t rows_apart, const CodesOf& codes,
                                  const ScalesOfAll& scales) {
  using Of = Products<Format::kWide>;
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  const auto quad_of = [&](size_t i) { return at + static_cast<int64_t>(i) * rows_apart; };
  const auto bytes = [&](size_t i, size_t half, size_t part) {
    return simd::CORRAL_ISA::load<U8>(a.bytes + quad_of(i) * kQuad + half * 64 +
                                      part * simd::CORRAL_ISA::kVectorBytes);
  };
  const int32_t* start[Format::kHalves][kRowsA];
  for (size_t h = 0; h < Format::kHalves; ++h) {
    for (size_t i = 0; i < kRowsA; ++i) {
      start[h][i] = a.start + (quad_of(i) * kHalves + static_cast<int64_t>(h)) * kQuadGroups;
    }
  }
  Ints all[Format::kHalves][kRowsA];
  if constexpr (kHalves == 1) {
    dots<Format, 2, kRowsA>(
        start[0], codes,
        [&](size_t i, size_t part, const Codes& b, auto sum) {
          sum = Of::add(sum, b.first.part[part], bytes(i, 0, part));
          return Of::add(sum, b.last.part[part], bytes(i, 1, part));
        },
        all[0]);
  } else {
    dots<Format, 1, kRowsA>(
        start[0], codes,
        [&](size_t i, size_t part, const Codes& b, auto sum) {
          return Of::add(sum, b.first.part[part], bytes(i, 0, part));
        },
        all[0]);
    dots<Format, 1, kRowsA>(
        start[1], codes,
        [&](size_t i, size_t part, const Codes& b, auto sum) {
          return Of::add(sum, b.last.part[part], bytes(i, 1, part));
        },
        all[1]);
  }
  const Scales<Format::kHalves> b = scales();
#pragma GCC unroll 4
  for (size_t i = 0; i < kRowsA; ++i) {
    const Floats a_scale = spread(a.scales + quad_of(i) * kQuadGroups);
    for (int64_t h = 0; h < kHalves; ++h) {
      chains[i] = add_scaled(chains[i], all[h][i], a_scale, b.scale[h]);
    }
    if constexpr (Format::kMinimum) {
      const float* sums = a.sums + quad_of(i) * kHalves * kQuadGroups;
      for (int64_t h = 0; h < kHalves; ++h) {
        chains[i] = add_product(chains[i], spread(sums + h * kQuadGroups), b.minimum[h]);
      }
    }
  }
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

/// Each of the four rows of B is a stream of its own, which asks so far ahead: the four together
/// for what is read while the memory answers. Where short rows end nothing is asked for, so they
/// ask for more. Several rows of A take their time.
inline int64_t bytes_ahead(const BlockPiece& p) {
  if (p.m > 1) return 2048;
  constexpr int64_t kShortBytes = 1024;
  if (p.b_row_bytes <= kShortBytes) return p.far ? 3584 : 2048;
  return p.far ? 2560 : 1536;
}

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
    const int64_t at = row * quads + quad;
    if constexpr (kRowsA == 1 || kTogether<Format>) {
      add_quad<Format, kRowsA>(chains, p.a, at, quads, codes, scales);
    } else {
      const Codes b[kRowsB] = {codes(0), codes(1), codes(2), codes(3)};
      const Scales<Format::kHalves> of_b = scales();
#pragma GCC unroll 4
      for (size_t i = 0; i < kRowsA; ++i) {
        Floats own[1] = {chains[i]};
        add_quad<Format, 1>(
            own, p.a, at + static_cast<int64_t>(i) * quads, 0, [&](size_t j) { return b[j]; },
            [&] { return of_b; });
        chains[i] = own[0];
      }
    }
  };
  const RowWalk<Format> walk(p, col, apart);
  walk.whole_quads(bytes_ahead(p), add);
  for (size_t i = 0; i < kRowsA; ++i) {
    finish<Format>(p, row + static_cast<int64_t>(i), col, apart, walk, chains[i]);
  }
}

/// The four streams of a piece, and the columns of the first whose turn it is.
struct Streams {
  explicit Streams(const BlockPiece& p)
      : apart(rows_between(kRowsB, p.n, p.b_row_bytes, 1)),
        begin(apart * p.begin_part / p.parts),
        end(apart * p.end_part / p.parts) {}
  int64_t apart;
  int64_t begin;
  int64_t end;
};

/// Asks for what the streams begin with, as no piece has before the first.
inline void ask_for_begin(const BlockPiece& p, const Streams& streams) {
  if (p.begin_part != 0) return;
  const int64_t stream_bytes = streams.apart * p.b_row_bytes;
  const int64_t bytes = simd::CORRAL_ISA::min(bytes_ahead(p), stream_bytes);
  for (int64_t at = 0; at < bytes; at += kLineBytes) {
    for (int64_t j = 0; j < kRowsB; ++j) {
      __builtin_prefetch(p.b + j * stream_bytes + at, 0, 3);
    }
  }
}

template <class Format>
[[gnu::noinline]] void several_rows(const BlockPiece& p) {
  const Streams streams(p);
  ask_for_begin(p, streams);
  const int64_t apart = streams.apart;
  for (int64_t col = streams.begin; col < streams.end; ++col) {
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
  const Streams streams(p);
  ask_for_begin(p, streams);
  for (int64_t col = streams.begin; col < streams.end; ++col) {
    rows_tile<Format, 1>(p, 0, col, streams.apart);
  }
}

}  // namespace
}  // namespace corral::ops::CORRAL_ISA
