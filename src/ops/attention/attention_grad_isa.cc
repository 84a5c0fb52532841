// Backward kernels: the probabilities of a tile are computed again from the saved logarithm of
// their sum (Dao 2023, "FlashAttention-2", algorithm 2).

#include "ops/attention/attention_kernel.h"
#include "ops/attention/attention_tile.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::fma;
using simd::CORRAL_ISA::load;
using simd::CORRAL_ISA::max;
using simd::CORRAL_ISA::min;
using simd::CORRAL_ISA::store;

// Rows whose probabilities are held before they go into dk and dv: few enough for the level-1
// cache, many enough that loading and storing dk and dv does not matter.
constexpr int64_t kBatchRows = 5 * kRowTile;

// Keys and vectors of a register tile of dk and dv.
constexpr int kGradKeys = kLanes == 16 ? 8 : 4;
constexpr int kGradVectors = 2;

void dot_rows(const float* a, const float* b, int64_t n, int64_t C, float* dots) {
  for (int64_t i = 0; i < n; ++i) {
    F32 sum{};
    for (int64_t c = 0; c < C; c += kLanes)
      sum = fma(load(a + i * C + c), load(b + i * C + c), sum);
    dots[i] = sum_of_lanes(sum);
  }
}

/// In place: scores s become probabilities p; ds = scale * p * (dp - delta). Masked keys get 0.
template <bool kMasked>
void softmax_grad(float* s, float* ds, int64_t vectors, float scale, float lse, float delta,
                  int64_t begin, int64_t end) {
  const I32 lane = lane_numbers();
  for (int64_t v = 0; v < vectors; ++v) {
    F32 p = exp_of_negative(fma(load(s + v * kLanes), broadcast(scale), broadcast(-lse)));
    if constexpr (kMasked) {
      const I32 key = lane + static_cast<int32_t>(v * kLanes);
      p = key < static_cast<int32_t>(end) ? p : F32{};
      p = key < static_cast<int32_t>(begin) ? F32{} : p;
    }
    store(s + v * kLanes, p);
    const F32 dp = load(ds + v * kLanes) - broadcast(delta);
    store(ds + v * kLanes, p * broadcast(scale) * dp);
  }
}

/// R rows: fills p and ds and adds to dq. Returns how many keys the rows see.
template <int R>
int64_t grad_rows(const GradRows& rows, int64_t row, const GradTile& tile, int64_t C, float scale,
                  float* p, float* ds) {
  Array<int64_t, R> end;
  int64_t most = 0;
  int64_t least = kKeyTile;
  for (int r = 0; r < R; ++r) {
    end[r] = visible_keys(rows.last[row + r], tile.first);
    most = max(most, end[r]);
    least = min(least, end[r]);
  }
  // Vectors beyond what these rows see are zero for the rows of the batch that see more.
  for (int64_t i = 0; i < R * kKeyTile; ++i) p[i] = 0;
  for (int64_t i = 0; i < R * kKeyTile; ++i) ds[i] = 0;
  if (most <= tile.begin) return 0;

  const int64_t vectors = (most + kLanes - 1) / kLanes;
  score_rows<R>(rows.q + row, F32Keys{tile.k}, C, vectors, p);
  score_rows<R>(rows.dout + row, F32Keys{tile.v_transposed}, C, vectors, ds);
  for (int r = 0; r < R; ++r) {
    float* p_r = p + r * kKeyTile;
    float* ds_r = ds + r * kKeyTile;
    if (least == kKeyTile && tile.begin == 0) {
      softmax_grad<false>(p_r, ds_r, kKeyVectors, scale, rows.lse[row + r], rows.delta[row + r], 0,
                          kKeyTile);
    } else {
      softmax_grad<true>(p_r, ds_r, vectors, scale, rows.lse[row + r], rows.delta[row + r],
                         tile.begin, end[r]);
    }
  }
  Array<float, R> factor;
  for (int r = 0; r < R; ++r) factor[r] = 1.0f;
  weigh_rows<R>(ds + tile.begin, F32Values{tile.k_rows, tile.k_stride}, most - tile.begin, factor,
                rows.dq + row, C);
  return most;
}

/// y[j, c] += sum over rows r of w[r, j] * x[r][c], for kGradKeys keys and V vectors.
template <int V>
void gather_tile(const float* w, const float* const* x, int64_t rows, int64_t column, float* y,
                 int64_t C) {
  Registers<kGradKeys, V> sum;
#pragma GCC unroll 8
  for (int j = 0; j < kGradKeys; ++j) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[j][v] = load(y + j * C + column + v * kLanes);
  }
  for (int64_t r = 0; r < rows; ++r) {
    Array<F32, V> value;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) value[v] = load(x[r] + column + v * kLanes);
#pragma GCC unroll 8
    for (int j = 0; j < kGradKeys; ++j) {
      const F32 weight = broadcast(w[r * kKeyTile + j]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[j][v] = fma(weight, value[v], sum[j][v]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kGradKeys; ++j) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(y + j * C + column + v * kLanes, sum[j][v]);
  }
}

/// y[j] += sum over rows r of w[r, j] * x[r] for the keys [0, keys) of the tile.
void gather_keys(const float* w, const float* const* x, int64_t rows, int64_t keys, float* y,
                 int64_t C) {
  for (int64_t j = 0; j < keys; j += kGradKeys) {
    int64_t c = 0;
    for (; c + kGradVectors * kLanes <= C; c += kGradVectors * kLanes) {
      gather_tile<kGradVectors>(w + j, x, rows, c, y + j * C, C);
    }
    if (c < C) gather_tile<1>(w + j, x, rows, c, y + j * C, C);
  }
}

void backward(const GradRows& rows, const GradTile& tile, int64_t C, float scale) {
  alignas(64) float p[kBatchRows * kKeyTile];
  alignas(64) float ds[kBatchRows * kKeyTile];
  for (int64_t batch = 0; batch < rows.count; batch += kBatchRows) {
    const int64_t n = min(kBatchRows, rows.count - batch);
    int64_t keys = 0;
    each_row_tile(n, [&]<int R>(int64_t r) {
      const int64_t seen =
          grad_rows<R>(rows, batch + r, tile, C, scale, p + r * kKeyTile, ds + r * kKeyTile);
      keys = max(keys, seen);
    });
    gather_keys(p, rows.dout + batch, n, keys, tile.dv, C);
    gather_keys(ds, rows.q + batch, n, keys, tile.dk, C);
  }
}

}  // namespace

extern const AttentionGradKernel kAttentionGrad;
const AttentionGradKernel kAttentionGrad = {dot_rows, backward};

}  // namespace corral::ops::CORRAL_ISA
