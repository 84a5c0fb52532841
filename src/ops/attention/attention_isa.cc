// Forward kernels: scores, running softmax and weighted sum of one tile of keys at a time (Dao
// 2023, "FlashAttention-2"). A row's arithmetic depends on nothing but the row and the tile
// (docs/decisions/0008).

#include "ops/attention/attention_formats.h"
#include "ops/attention/attention_kernel.h"
#include "ops/attention/attention_tile.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::exp;
using simd::CORRAL_ISA::fma;
using simd::CORRAL_ISA::load;
using simd::CORRAL_ISA::max;
using simd::CORRAL_ISA::min;
using simd::CORRAL_ISA::set1;
using simd::CORRAL_ISA::store;

constexpr float kNothing = -__builtin_inff();

void transpose(const float* rows, int64_t stride, int64_t begin, int64_t count, int64_t C,
               float* out) {
  for (int64_t c = 0; c < C; ++c) {
    float* to = out + c * kKeyTile;
    for (int64_t j = 0; j < begin; ++j) to[j] = 0;
    for (int64_t j = 0; j < count; ++j) to[begin + j] = rows[j * stride + c];
    for (int64_t j = begin + count; j < kKeyTile; ++j) to[j] = 0;
  }
}

void round(const float* in, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; i += kLanes) store(out + i, simd::CORRAL_ISA::to_bf16(load(in + i)));
}

void clear(const QueryRows& rows, int64_t C) {
  for (int64_t i = 0; i < rows.count; ++i) rows.max[i] = kNothing;
  for (int64_t i = 0; i < rows.count * kSumLanes; ++i) rows.sum[i] = 0;
  for (int64_t i = 0; i < rows.count * C; ++i) rows.out[i] = 0;
}

/// One row of V vectors of raw scores becomes exp(scale s - largest) with `largest` the largest so
/// far: max is raised to it, and the sums by vector lane are returned. Keys outside [begin, end)
/// are left out. factor: before - largest, whose exp rescales what was summed before.
template <int V, bool kMasked>
inline F32 softmax_row(float* s, float scale, int64_t begin, int64_t end, float& max_so_far,
                       float& factor) {
  const F32 scales = broadcast(scale);
  const I32 lane = lane_numbers();
  Array<F32, V> x;
  F32 largest = set1(kNothing);
#pragma GCC unroll 16
  for (int v = 0; v < V; ++v) {
    x[v] = load(s + v * kLanes) * scales;
    if constexpr (kMasked) {
      const I32 key = lane + v * kLanes;
      x[v] = key < static_cast<int32_t>(end) ? x[v] : set1(kNothing);
      x[v] = key < static_cast<int32_t>(begin) ? set1(kNothing) : x[v];
    }
    largest = max(largest, x[v]);
  }
  const float before = max_so_far;
  max_so_far = max(before, max_of_lanes(largest));
  // A row that has seen no key yet has no largest score: any finite one gives exp(-inf) = 0.
  const float shift = kMasked && max_so_far == kNothing ? 0.0f : max_so_far;
  factor = before - shift;
  F32 total{};
#pragma GCC unroll 16
  for (int v = 0; v < V; ++v) {
    const F32 p = exp_of_negative(x[v] - broadcast(shift));
    store(s + v * kLanes, p);
    total += p;
  }
  return total;
}

/// Rows that do not all see the whole tile; V is at least the vectors of the row that sees most.
template <int V>
void masked_softmax(const QueryRows& rows, int64_t row, int64_t n, const KeyTile& tile, float scale,
                    const int64_t* end, float* s, float* factor, F32* total) {
  for (int64_t r = 0; r < n; ++r) {
    total[r] = softmax_row<V, true>(s + r * kKeyTile, scale, tile.begin, end[r], rows.max[row + r],
                                    factor[r]);
  }
}

/// Raw scores of R rows with the first `vectors` vectors of the tile's keys.
template <int R, class Next>
void score(const QueryRows& rows, int64_t row, const KeyTile& tile, int64_t C, int64_t vectors,
           float* s, BytesAhead ahead) {
  const float* const* q = rows.q + row;
  switch (tile.k_format) {
    case KvFormat::kF32:
      return score_rows<R, Next>(q, F32Keys{static_cast<const float*>(tile.k)}, C, vectors, s,
                                 ahead);
    case KvFormat::kBF16: {
      const auto* k = static_cast<const uint16_t*>(tile.k);
#if defined(__AVX512BF16__)
      return score_pairs<R, Next>(rows.q_bf16 + row, k, C, vectors, s, ahead);
#else
      return score_rows<R, Next>(q, Bf16Keys{k}, C, vectors, s, ahead);
#endif
    }
    case KvFormat::kQ8_0:
      return score_rows<R, Next>(q, Q8Keys(tile.k, C), C, vectors, s, ahead);
    case KvFormat::kQ4_0:
      return score_rows<R, Next>(q, Q4Keys(tile.k, C), C, vectors, s, ahead);
  }
}

/// y = y * factor + weights . values for the tile's keys [tile.begin, end).
template <int R, class Next>
void weigh(const float* weights, const KeyTile& tile, int64_t end, const float* factor,
           float* const* y, int64_t C, BytesAhead ahead) {
  switch (tile.v_format) {
    case KvFormat::kF32:
      return weigh_rows<R, Next>(weights + tile.begin,
                                 F32Values{static_cast<const float*>(tile.v), tile.v_stride},
                                 end - tile.begin, factor, y, C, ahead);
    case KvFormat::kBF16: {
      const auto* v = static_cast<const uint16_t*>(tile.v);
#if defined(__AVX512BF16__)
      return weigh_pairs<R, Next>(weights, v, end, factor, y, C, ahead);
#else
      return weigh_rows<R, Next>(weights, Bf16Values{v, C}, end, factor, y, C, ahead);
#endif
    }
    case KvFormat::kQ8_0:
      return weigh_rows<R, Next>(weights, Q8Values(tile.v, C), end, factor, y, C, ahead);
    case KvFormat::kQ4_0:
      return weigh_rows<R, Next>(weights, Q4Values(tile.v, C), end, factor, y, C, ahead);
  }
}

/// The part of some bytes for which the tile of rows from `row` on asks.
BytesAhead part_of(const BytesAhead& all, const QueryRows& rows, int64_t row) {
  const int64_t tiles = parts_of(rows.count, kRowTile);
  const int64_t tile = row / kRowTile;
  const int64_t begin = all.bytes * tile / tiles;
  return {static_cast<const char*>(all.at) + begin, all.bytes * (tile + 1) / tiles - begin};
}

template <int R, class Next>
void attend_rows(const QueryRows& rows, int64_t row, const KeyTile& tile, int64_t C, float scale,
                 float* s) {
  Array<int64_t, R> end;
  int64_t most = 0;
  int64_t least = kKeyTile;
  for (int r = 0; r < R; ++r) {
    end[r] = visible_keys(rows.last[row + r], tile.first);
    most = max(most, end[r]);
    least = min(least, end[r]);
  }
  if (most <= tile.begin) return;

  const int64_t vectors = (most + kLanes - 1) / kLanes;
  score<R, Next>(rows, row, tile, C, vectors, s, part_of(tile.next_k, rows, row));

  constexpr int kPadded = (R + kLanes - 1) / kLanes * kLanes;
  alignas(64) Array<float, kPadded> factor = {};
  Array<F32, R> total;
  if (least == kKeyTile && tile.begin == 0) {
    for (int r = 0; r < R; ++r) {
      total[r] = softmax_row<kKeyVectors, false>(s + r * kKeyTile, scale, 0, kKeyTile,
                                                 rows.max[row + r], factor[r]);
    }
  } else if (kKeyVectors > 4 || vectors == 4) {
    masked_softmax<kKeyVectors>(rows, row, R, tile, scale, end, s, factor, total);
  } else if (vectors == 3) {
    masked_softmax<3>(rows, row, R, tile, scale, end, s, factor, total);
  } else if (vectors == 2) {
    masked_softmax<2>(rows, row, R, tile, scale, end, s, factor, total);
  } else {
    masked_softmax<1>(rows, row, R, tile, scale, end, s, factor, total);
  }
  for (int r = 0; r < kPadded; r += kLanes) store(factor + r, exp_of_negative(load(factor + r)));
  Array<float*, R> y;
  for (int r = 0; r < R; ++r) {
    float* sum = rows.sum + (row + r) * kSumLanes;
    store(sum, fma(load(sum), broadcast(factor[r]), total[r]));
    y[r] = rows.out + (row + r) * C;
  }
  weigh<R, Next>(s, tile, most, factor, y, C, part_of(tile.next_v, rows, row));
}

void attend(const QueryRows& rows, const KeyTile& tile, int64_t C, float scale) {
  // Zero, because the softmax of rows that see little may run over scores that were not computed.
  alignas(64) float s[kRowTile * kKeyTile] = {};
  // Few rows wait for the next keys: they ask for some with every channel. A tile of many asks for
  // its share when its products are done, as turns would take it longer than they bring.
  constexpr int64_t kFewRows = 4 * kRowTile;
  const bool few = rows.count <= kFewRows;
  each_row_tile(rows.count, [&]<int R>(int64_t row) {
    if (few) return attend_rows<R, Stream>(rows, row, tile, C, scale, s);
    attend_rows<R, Burst>(rows, row, tile, C, scale, s);
  });
}

void merge(const QueryRows& rows, const QueryRows& part, int64_t C) {
  for (int64_t i = 0; i < rows.count; ++i) {
    const float largest = max(rows.max[i], part.max[i]);
    const float shift = largest == kNothing ? 0.0f : largest;
    const F32 mine = exp(set1(rows.max[i] - shift));
    const F32 theirs = exp(set1(part.max[i] - shift));
    rows.max[i] = largest;
    for (int64_t c = 0; c < kSumLanes; c += kLanes) {
      float* sum = rows.sum + i * kSumLanes + c;
      store(sum, fma(load(part.sum + i * kSumLanes + c), theirs, load(sum) * mine));
    }
    for (int64_t c = 0; c < C; c += kLanes) {
      float* out = rows.out + i * C + c;
      store(out, fma(load(part.out + i * C + c), theirs, load(out) * mine));
    }
  }
}

void finish(const QueryRows& rows, int64_t C, float* const* y, float* total) {
  for (int64_t i = 0; i < rows.count; ++i) {
    total[i] = sum_of_lanes(load(rows.sum + i * kSumLanes));
    const F32 inverse = broadcast(1.0f / total[i]);
    for (int64_t c = 0; c < C; c += kLanes) {
      // Adding 0 makes -0 to 0: which of the two a sum of underflowing terms gives depends on
      // whether the zeros of masked keys were added.
      store(y[i] + c, load(rows.out + i * C + c) * inverse + F32{});
    }
  }
}

#if defined(__AVX512BF16__)
constexpr bool kBf16Products = true;
#else
constexpr bool kBf16Products = false;
#endif

}  // namespace

extern const AttentionKernel kAttention;
const AttentionKernel kAttention = {transpose, kBf16Products, round, clear, attend, merge, finish};

}  // namespace corral::ops::CORRAL_ISA
