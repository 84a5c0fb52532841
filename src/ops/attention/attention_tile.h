#pragma once

// Register tiles that the forward and the backward kernels share; for *_isa.cc files only.
// Every element of a result is one chain of multiply-adds in a fixed order (of channels for a
// score, of keys for a weighted sum), so its bits do not depend on which rows share its tile.

#include "ops/attention/attention_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {

using simd::CORRAL_ISA::F32;
using simd::CORRAL_ISA::I32;
using simd::CORRAL_ISA::kLanes;
using simd::CORRAL_ISA::U32;

/// Rows in a tile. Six rows by kTileVectors vectors of keys fill the registers: 32 with AVX-512 and
/// NEON, else 16.
inline constexpr int kRowTile = 6;
#if defined(__AVX512F__) || defined(__ARM_NEON)
inline constexpr int kTileVectors = 4;
#else
inline constexpr int kTileVectors = 2;
#endif
/// Vectors for R rows: of so few that they would wait for their own sums, more.
template <int R>
inline constexpr int kVectorsOf = R <= 2 ? 4 : kTileVectors;
inline constexpr int kKeyVectors = static_cast<int>(kKeyTile) / kLanes;

/// Plain arrays whose sizes are template parameters.
template <class T, int N>
using Array = T[static_cast<size_t>(N)];
template <int R, int V>
using Registers = F32[static_cast<size_t>(R)][static_cast<size_t>(V)];

/// All lanes x. (0 + x would cost an addition: it is not x for x = -0.)
inline F32 broadcast(float x) { return x - F32{}; }

/// 0, 1, 2, ...
inline I32 lane_numbers() {
  I32 v{};
  for (int i = 0; i < kLanes; ++i) v[i] = i;
  return v;
}

/// Lanes in another order: i from i ^ kDistance.
template <int kDistance, class V>
inline V cross(V v) {
  constexpr int d = kDistance;
  if constexpr (sizeof(V) == 64) {
    return __builtin_shufflevector(v, v, 0 ^ d, 1 ^ d, 2 ^ d, 3 ^ d, 4 ^ d, 5 ^ d, 6 ^ d, 7 ^ d,
                                   8 ^ d, 9 ^ d, 10 ^ d, 11 ^ d, 12 ^ d, 13 ^ d, 14 ^ d, 15 ^ d);
  } else if constexpr (sizeof(V) == 32) {
    return __builtin_shufflevector(v, v, 0 ^ d, 1 ^ d, 2 ^ d, 3 ^ d, 4 ^ d, 5 ^ d, 6 ^ d, 7 ^ d);
  } else {
    return __builtin_shufflevector(v, v, 0 ^ d, 1 ^ d, 2 ^ d, 3 ^ d);
  }
}

inline float max_of_lanes(F32 v) {
  if constexpr (kLanes > 8) v = simd::CORRAL_ISA::max(v, cross<8 % kLanes>(v));
  if constexpr (kLanes > 4) v = simd::CORRAL_ISA::max(v, cross<4 % kLanes>(v));
  v = simd::CORRAL_ISA::max(v, cross<2>(v));
  v = simd::CORRAL_ISA::max(v, cross<1>(v));
  return v[0];
}
inline float sum_of_lanes(F32 v) {
  if constexpr (kLanes > 8) v += cross<8 % kLanes>(v);
  if constexpr (kLanes > 4) v += cross<4 % kLanes>(v);
  v += cross<2>(v);
  v += cross<1>(v);
  return v[0];
}

/// simd::exp for x <= 0 (or NaN): what guards against overflow is left out.
inline F32 exp_of_negative(F32 x) {
  using simd::CORRAL_ISA::fma;
  const F32 shifted = fma(x, broadcast(1.44269504f), broadcast(12582912.0f));
  const F32 n = shifted - 12582912.0f;  // x / ln 2, rounded
  F32 r = fma(n, broadcast(-0.693359375f), x);
  r = fma(n, broadcast(2.12194440e-4f), r);
  F32 p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, r * r, r) + 1.0f;
  // The low bits of `shifted` hold n. A product, so that NaN stays NaN.
  const F32 power = reinterpret_cast<F32>((reinterpret_cast<U32>(shifted) << 23) + (127u << 23));
  return x < -87.3f ? F32{} : p * power;
}

/// Of the caches.
inline constexpr int64_t kLineBytes = 64;

/// How many parts of at most `most` make up the whole.
inline int64_t parts_of(int64_t whole, int64_t most) { return (whole + most - 1) / most; }

/// Asks for some bytes at once, when all turns are taken.
class Burst {
 public:
  Burst(BytesAhead bytes, int64_t) : bytes_(bytes) {}
  void take_turn() const {}
  void finish() const {
    const auto* const at = static_cast<const char*>(bytes_.at);
    for (int64_t i = 0; i < bytes_.bytes; i += kLineBytes) __builtin_prefetch(at + i, 0, 2);
  }

 private:
  BytesAhead bytes_;
};

/// Asks for some bytes in so many turns, in their order.
class Stream {
 public:
  Stream(BytesAhead bytes, int64_t turns) : at_(static_cast<const char*>(bytes.at)) {
    if (bytes.bytes == 0 || turns == 0) return;
    lines_ = parts_of(bytes.bytes, turns * kLineBytes);
    step_ = (bytes.bytes << kFraction) / (turns * lines_);
  }
  [[gnu::always_inline]] void take_turn() {
    for (int64_t i = 0; i < lines_; ++i) {
      __builtin_prefetch(at_ + (place_ >> kFraction), 0, 2);
      place_ += step_;
    }
  }
  void finish() const {}

 private:
  static constexpr int kFraction = 16;  // bits of a byte: there may be more turns than bytes
  const char* at_;
  int64_t place_ = 0;
  int64_t step_ = 0;
  int64_t lines_ = 0;  // a turn
};

/// Keys [C, kKeyTile] in f32, for score_rows(). Other readers (attention_formats.h) widen while
/// they read, to the same floats that a widened tile holds.
struct F32Keys {
  static constexpr int kStep = 1;                      // channels that one read brings
  static constexpr int64_t kBlock = int64_t{1} << 30;  // channels that share scales
  template <int R>
  static constexpr int kVectors = kVectorsOf<R>;  // that fit in the registers beside R rows

  template <int V>
  void open(int64_t, int64_t, Array<F32, V>&) const {}
  /// Channel c (and those behind it, up to kStep) of V vectors of keys from key `key` on.
  template <int V>
  void read(int64_t c, int64_t key, const Array<F32, V>&, Registers<kStep, V>& keys) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      keys[0][v] = simd::CORRAL_ISA::load(k + c * kKeyTile + key + v * kLanes);
    }
  }

  const float* k;
};

/// s[r, key..] = x[r] . keys for V vectors of keys from `key` on, R rows of x.
template <int R, int V, class Keys, class Next>
inline void score_tile(const float* const* x, const Keys& keys, int64_t key, int64_t C, float* s,
                       Next& next) {
  Array<const float*, R> row;
  Registers<R, V> sum;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    row[r] = x[r];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = F32{};
  }
  for (int64_t block = 0; block < C; block += Keys::kBlock) {
    Array<F32, V> scale;
    keys.template open<V>(block, key, scale);
    const int64_t end = C - block < Keys::kBlock ? C : block + Keys::kBlock;
    for (int64_t c = block; c < end; c += Keys::kStep) {
      Registers<Keys::kStep, V> channels;
      keys.template read<V>(c, key, scale, channels);
      next.take_turn();
#pragma GCC unroll 2
      for (int step = 0; step < Keys::kStep; ++step) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const F32 channel = broadcast(row[r][c + step]);
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) {
            sum[r][v] = simd::CORRAL_ISA::fma(channel, channels[step][v], sum[r][v]);
          }
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      simd::CORRAL_ISA::store(s + r * kKeyTile + key + v * kLanes, sum[r][v]);
    }
  }
}

/// Calls tile.operator()<V>(vector) for pieces of at most kMost (4, 2 or 1) vectors, in order.
template <int kMost, class Tile>
inline void in_pieces(int64_t vectors, const Tile& tile) {
  int64_t v = 0;
  for (; v + kMost <= vectors; v += kMost) tile.template operator()<kMost>(v);
  const int64_t left = vectors - v;
  if constexpr (kMost > 1) {
    if (left == 1) tile.template operator()<1>(v);
  }
  if constexpr (kMost > 2) {
    if (left == 2) tile.template operator()<2>(v);
    if (left == 3) tile.template operator()<3>(v);
  }
}

/// Calls tile.operator()<R>() with R = `rows`, at least 1, or kMost if there are more.
template <int kMost = kRowTile, class Tile>
inline void with_rows(int64_t rows, const Tile& tile) {
  if constexpr (kMost > 1) {
    if (rows < kMost) return with_rows<kMost - 1>(rows, tile);
  }
  tile.template operator()<kMost>();
}
/// Calls tile.operator()<R>(row) for tiles of at most kRowTile of some rows, in order.
template <class Tile>
inline void each_row_tile(int64_t rows, const Tile& tile) {
  for (int64_t row = 0; row < rows; row += kRowTile) {
    with_rows(rows - row, [&]<int R>() { tile.template operator()<R>(row); });
  }
}

/// Scores of the first `vectors` vectors of keys. Asks for `ahead` meanwhile.
template <int R, class Next = Burst, class Keys>
inline void score_rows(const float* const* x, const Keys& keys, int64_t C, int64_t vectors,
                       float* s, BytesAhead ahead = {}) {
  constexpr int kMost = Keys::template kVectors<R>;
  Next next(ahead, parts_of(vectors, kMost) * (C / Keys::kStep));
  in_pieces<kMost>(vectors,
                   [&]<int V>(int64_t v) { score_tile<R, V>(x, keys, v * kLanes, C, s, next); });
  next.finish();
}

/// Values, rows of C floats `stride` apart, for weigh_rows().
struct F32Values {
  static constexpr int kStep = 1;  // keys that one read brings
  template <int R>
  static constexpr int kVectors = kVectorsOf<R>;

  /// V vectors of channels from `column` on of key j (and those behind it, up to kStep).
  template <int V>
  void read(int64_t j, int64_t column, Registers<kStep, V>& value) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      value[0][v] = simd::CORRAL_ISA::load(rows + j * stride + column + v * kLanes);
    }
  }

  const float* rows;
  int64_t stride;
};

/// y[r] = y[r] * factor[r] + sum over keys j of w[r, j] * values[j], V vectors wide. n keys.
template <int R, int V, class Values, class Next>
inline void weigh_tile(const float* w, const Values& values, int64_t n, const float* factor,
                       float* const* y, int64_t column, Next& next) {
  Registers<R, V> sum;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sum[r][v] = simd::CORRAL_ISA::load(y[r] + column + v * kLanes) * broadcast(factor[r]);
    }
  }
  for (int64_t j = 0; j < n; j += Values::kStep) {
    Registers<Values::kStep, V> value;
    values.template read<V>(j, column, value);
    next.take_turn();
#pragma GCC unroll 2
    for (int step = 0; step < Values::kStep; ++step) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const F32 weight = broadcast(w[r * kKeyTile + j + step]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          sum[r][v] = simd::CORRAL_ISA::fma(weight, value[step][v], sum[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      simd::CORRAL_ISA::store(y[r] + column + v * kLanes, sum[r][v]);
    }
  }
}

/// w[R, kKeyTile], already at the first key; n keys, and behind them weights of zero up to a whole
/// step. Asks for `ahead` meanwhile.
template <int R, class Next = Burst, class Values>
inline void weigh_rows(const float* w, const Values& values, int64_t n, const float* factor,
                       float* const* y, int64_t C, BytesAhead ahead = {}) {
  constexpr int kMost = Values::template kVectors<R>;
  const int64_t vectors = C / kLanes;
  Next next(ahead, parts_of(vectors, kMost) * (n / Values::kStep));
  in_pieces<kMost>(vectors, [&]<int V>(int64_t v) {
    weigh_tile<R, V>(w, values, n, factor, y, v * kLanes, next);
  });
  next.finish();
}

/// How many of a tile's keys a row sees: those up to position `last`.
inline int64_t visible_keys(int64_t last, int64_t first) {
  const int64_t n = last - first + 1;
  return n < 0 ? 0 : n > kKeyTile ? kKeyTile : n;
}

}  // namespace corral::ops::CORRAL_ISA
