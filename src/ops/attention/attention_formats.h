#pragma once

// Readers of tiles that the KV cache stores in fewer bits (kv/kv_types.h), for score_rows() and
// weigh_rows(); for *_isa.cc files only. A code times its scale is exact in f32, so it makes no
// difference to a bit whether a tile is read like this or widened first.

#include "ops/attention/attention_kernel.h"
#include "ops/attention/attention_tile.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {

inline constexpr int64_t kScaleChannels = 32;

inline int64_t scale_blocks(int64_t C) { return (C + kScaleChannels - 1) / kScaleChannels; }

/// Readers that take two channels or keys at a time need registers for both.
template <int R>
inline constexpr int kWideVectors = R > 5 ? kTileVectors / 2 : kTileVectors;

/// kLanes bytes, with or without sign, as integers. (g++ 12 makes __builtin_convertvector of them
/// one lane at a time.)
inline I32 load_codes(const int8_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<I32>(
      _mm512_maskz_cvtepi8_epi32(0xFFFF, simd::CORRAL_ISA::load<__m128i>(at)));
#elif defined(__AVX2__)
  return reinterpret_cast<I32>(_mm256_cvtepi8_epi32(_mm_loadu_si64(at)));
#elif defined(__ARM_NEON)
  const uint32x2_t four = vdup_n_u32(simd::CORRAL_ISA::load<uint32_t>(at));
  return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(four))));
#else
  I32 v{};
  for (int i = 0; i < kLanes; ++i) v[i] = at[i];
  return v;
#endif
}
inline U32 load_bytes(const uint8_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<U32>(
      _mm512_maskz_cvtepu8_epi32(0xFFFF, simd::CORRAL_ISA::load<__m128i>(at)));
#elif defined(__AVX2__)
  return reinterpret_cast<U32>(_mm256_cvtepu8_epi32(_mm_loadu_si64(at)));
#elif defined(__ARM_NEON)
  const uint32x2_t four = vdup_n_u32(simd::CORRAL_ISA::load<uint32_t>(at));
  return vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(four))));
#else
  U32 v{};
  for (int i = 0; i < kLanes; ++i) v[i] = at[i];
  return v;
#endif
}
inline F32 of_codes(const int8_t* at) { return __builtin_convertvector(load_codes(at), F32); }
/// Codes 0 to 15 as -8 to 7.
inline F32 of_nibbles(U32 codes) {
  return __builtin_convertvector(reinterpret_cast<I32>(codes) - 8, F32);
}
/// All lanes the f16 at `at`.
inline F32 broadcast_f16(const uint16_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<F32>(
      _mm512_maskz_cvtph_ps(0xFFFF, _mm256_set1_epi16(static_cast<int16_t>(*at))));
#elif defined(__F16C__)
  return reinterpret_cast<F32>(_mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(*at))));
#else
  return broadcast(simd::CORRAL_ISA::f16_to_f32(*at));
#endif
}
/// The two bf16 of each lane.
inline F32 first_of_pair(U32 pair) { return reinterpret_cast<F32>(pair << 16); }
inline F32 second_of_pair(U32 pair) { return reinterpret_cast<F32>(pair & 0xFFFF0000u); }

struct Bf16Keys {
  static constexpr int kStep = 2;
  static constexpr int64_t kBlock = int64_t{1} << 30;
  template <int R>
  static constexpr int kVectors = kWideVectors<R>;

  template <int V>
  void open(int64_t, int64_t, Array<F32, V>&) const {}
  template <int V>
  void read(int64_t c, int64_t key, const Array<F32, V>&, Registers<kStep, V>& keys) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const auto pair = simd::CORRAL_ISA::load<U32>(k + c * kKeyTile + 2 * (key + v * kLanes));
      keys[0][v] = first_of_pair(pair);
      keys[1][v] = second_of_pair(pair);
    }
  }

  const uint16_t* k;
};

/// The scales of one block of channels for V vectors of keys.
template <int V>
inline void open_scales(const uint16_t* scales, int64_t block, int64_t key, Array<F32, V>& scale) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    scale[v] =
        simd::CORRAL_ISA::load_f16(scales + block / kScaleChannels * kKeyTile + key + v * kLanes);
  }
}

struct Q8Keys {
  static constexpr int kStep = 1;
  static constexpr int64_t kBlock = kScaleChannels;
  template <int R>
  static constexpr int kVectors = kTileVectors;

  Q8Keys(const void* tile, int64_t C)
      : codes(static_cast<const int8_t*>(tile)),
        scales(reinterpret_cast<const uint16_t*>(codes + C * kKeyTile)) {}
  template <int V>
  void open(int64_t block, int64_t key, Array<F32, V>& scale) const {
    open_scales<V>(scales, block, key, scale);
  }
  template <int V>
  void read(int64_t c, int64_t key, const Array<F32, V>& scale, Registers<kStep, V>& keys) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      keys[0][v] = of_codes(codes + c * kKeyTile + key + v * kLanes) * scale[v];
    }
  }

  const int8_t* codes;
  const uint16_t* scales;
};

struct Q4Keys {
  static constexpr int kStep = 2;
  static constexpr int64_t kBlock = kScaleChannels;
  template <int R>
  static constexpr int kVectors = kWideVectors<R>;

  Q4Keys(const void* tile, int64_t C)
      : codes(static_cast<const uint8_t*>(tile)),
        scales(reinterpret_cast<const uint16_t*>(codes + C / 2 * kKeyTile)) {}
  template <int V>
  void open(int64_t block, int64_t key, Array<F32, V>& scale) const {
    open_scales<V>(scales, block, key, scale);
  }
  template <int V>
  void read(int64_t c, int64_t key, const Array<F32, V>& scale, Registers<kStep, V>& keys) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const U32 both = load_bytes(codes + c / 2 * kKeyTile + key + v * kLanes);
      keys[0][v] = of_nibbles(both & 15u) * scale[v];
      keys[1][v] = of_nibbles(both >> 4) * scale[v];
    }
  }

  const uint8_t* codes;
  const uint16_t* scales;
};

struct Bf16Values {
  static constexpr int kStep = 2;
  template <int R>
  static constexpr int kVectors = kWideVectors<R>;

  template <int V>
  void read(int64_t j, int64_t column, Registers<kStep, V>& value) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const auto pair = simd::CORRAL_ISA::load<U32>(pairs + j * C + 2 * (column + v * kLanes));
      value[0][v] = first_of_pair(pair);
      value[1][v] = second_of_pair(pair);
    }
  }

  const uint16_t* pairs;
  int64_t C;
};

struct Q8Values {
  static constexpr int kStep = 1;
  template <int R>
  static constexpr int kVectors = kTileVectors;

  Q8Values(const void* tile, int64_t channels)
      : codes(static_cast<const int8_t*>(tile)),
        scales(reinterpret_cast<const uint16_t*>(codes + channels * kKeyTile)),
        C(channels),
        blocks(scale_blocks(channels)) {}
  /// Pieces of rows begin where a block does, or lie within one.
  template <int V>
  void read(int64_t j, int64_t column, Registers<kStep, V>& value) const {
    F32 scale{};
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int64_t c = column + v * kLanes;
      if (v * kLanes % kScaleChannels == 0) {
        scale = broadcast_f16(scales + j * blocks + c / kScaleChannels);
      }
      value[0][v] = of_codes(codes + j * C + c) * scale;
    }
  }

  const int8_t* codes;
  const uint16_t* scales;
  int64_t C;
  int64_t blocks;
};

struct Q4Values {
  static constexpr int kStep = 1;
  template <int R>
  static constexpr int kVectors = kTileVectors;

  Q4Values(const void* tile, int64_t channels)
      : codes(static_cast<const uint8_t*>(tile)),
        scales(reinterpret_cast<const uint16_t*>(codes + scale_blocks(channels) * kScaleChannels /
                                                             2 * kKeyTile)),
        blocks(scale_blocks(channels)) {}
  template <int V>
  void read(int64_t j, int64_t column, Registers<kStep, V>& value) const {
    F32 scale{};
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int64_t c = column + v * kLanes;
      const int64_t block = j * blocks + c / kScaleChannels;
      if (v * kLanes % kScaleChannels == 0) scale = broadcast_f16(scales + block);
      const U32 both = load_bytes(codes + block * (kScaleChannels / 2) + c % (kScaleChannels / 2));
      const U32 code = c % kScaleChannels < kScaleChannels / 2 ? both & 15u : both >> 4;
      value[0][v] = of_nibbles(code) * scale;
    }
  }

  const uint8_t* codes;
  const uint16_t* scales;
  int64_t blocks;
};

#if defined(__AVX512BF16__)

/// sum + a . b in each lane, of pairs of bf16.
inline F32 add_pair_products(I32 a, I32 b, F32 sum) {
  return reinterpret_cast<F32>(_mm512_dpbf16_ps(
      reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
}
/// The pair at `at` in all lanes.
inline I32 broadcast_pair(const uint16_t* at) {
  int32_t pair;
  std::memcpy(&pair, at, sizeof(pair));
  return I32{} + pair;
}
inline I32 load_pairs(const uint16_t* at) { return simd::CORRAL_ISA::load<I32>(at); }

/// score_rows() with pairs of channels multiplied in bf16. Each step of a chain adds the product of
/// the second channel, then that of the first.
template <int R, int V, class Next>
inline void score_pairs_tile(const uint16_t* const* x, const uint16_t* k, int64_t key, int64_t C,
                             float* s, Next& next) {
  Array<const uint16_t*, R> row;
  Registers<R, V> sum;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    row[r] = x[r];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = F32{};
  }
  for (int64_t c = 0; c < C; c += 2) {
    Array<I32, V> keys;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      keys[v] = load_pairs(k + c * kKeyTile + 2 * (key + v * kLanes));
    }
    next.take_turn();
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const I32 pair = broadcast_pair(row[r] + c);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        sum[r][v] = add_pair_products(pair, keys[v], sum[r][v]);
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

template <int R, class Next>
inline void score_pairs(const uint16_t* const* x, const uint16_t* k, int64_t C, int64_t vectors,
                        float* s, BytesAhead ahead) {
  Next next(ahead, parts_of(vectors, kTileVectors) * (C / 2));
  in_pieces<kTileVectors>(
      vectors, [&]<int V>(int64_t v) { score_pairs_tile<R, V>(x, k, v * kLanes, C, s, next); });
  next.finish();
}

/// weigh_rows() with pairs of keys multiplied in bf16; w[R, kKeyTile] is rounded.
template <int R, int V, class Next>
inline void weigh_pairs_tile(const uint16_t* w, const uint16_t* values, int64_t n, int64_t C,
                             const float* factor, float* const* y, int64_t column, Next& next) {
  Registers<R, V> sum;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sum[r][v] = simd::CORRAL_ISA::load(y[r] + column + v * kLanes) * broadcast(factor[r]);
    }
  }
  for (int64_t j = 0; j < n; j += 2) {
    Array<I32, V> value;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      value[v] = load_pairs(values + j * C + 2 * (column + v * kLanes));
    }
    next.take_turn();
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const I32 pair = broadcast_pair(w + r * kKeyTile + j);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        sum[r][v] = add_pair_products(pair, value[v], sum[r][v]);
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

template <int R, class Next>
inline void weigh_pairs(const float* w, const uint16_t* values, int64_t n, const float* factor,
                        float* const* y, int64_t C, BytesAhead ahead) {
  alignas(64) Array<uint16_t, R* static_cast<int>(kKeyTile)> rounded;
  for (int64_t i = 0; i < R * kKeyTile; i += 2 * kLanes) {
    const auto first = reinterpret_cast<__m512>(simd::CORRAL_ISA::load(w + i));
    const auto second = reinterpret_cast<__m512>(simd::CORRAL_ISA::load(w + i + kLanes));
    simd::CORRAL_ISA::store(rounded + i, reinterpret_cast<I32>(_mm512_cvtne2ps_pbh(second, first)));
  }
  const int64_t vectors = C / kLanes;
  Next next(ahead, parts_of(vectors, kTileVectors) * (n / 2));
  in_pieces<kTileVectors>(vectors, [&]<int V>(int64_t v) {
    weigh_pairs_tile<R, V>(rounded, values, n, C, factor, y, v * kLanes, next);
  });
  next.finish();
}

#endif

}  // namespace corral::ops::CORRAL_ISA
