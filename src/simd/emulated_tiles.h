#pragma once

// The tile registers of AMX in memory, so that its kernels can be tested on processors with AVX-512
// and without tiles: what simd/tiles.h is in a build with CORRAL_EMULATE. After Intel's
// "Software Developer's Manual", volume 2, TDPBSSD, TDPBUSD and TDPBF16PS. What a processor answers
// with an exception, such as shapes that do not fit each other, stops the program.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "simd/tile_shapes.h"

namespace corral::simd::CORRAL_ISA {

struct EmulatedTiles {
  TileShapes shapes;
  alignas(64) uint8_t bytes[8][16][64];
};
inline EmulatedTiles& emulated_tiles() {
  static thread_local EmulatedTiles tiles = {};
  return tiles;
}

inline void need(bool fits) {
  if (!fits) __builtin_trap();
}

/// A tile that has a shape, as elements of T.
template <class T>
struct EmulatedTile {
  uint8_t (*bytes)[64];
  int rows;
  int row_bytes;

  explicit EmulatedTile(int tile)
      : bytes(emulated_tiles().bytes[tile]),
        rows(emulated_tiles().shapes.rows[tile]),
        row_bytes(emulated_tiles().shapes.row_bytes[tile]) {
    need(rows > 0 && rows <= 16 && row_bytes > 0 && row_bytes <= 64);
  }
  int columns() const { return row_bytes / static_cast<int>(sizeof(T)); }
  T at(int row, int col) const {
    T value;
    std::memcpy(&value, bytes[row] + col * static_cast<int>(sizeof(T)), sizeof(T));
    return value;
  }
  void set(int row, int col, T value) const {
    std::memcpy(bytes[row] + col * static_cast<int>(sizeof(T)), &value, sizeof(T));
  }
};

inline void load_shapes(const TileShapes& shapes) {
  need(shapes.palette == 1);
  emulated_tiles() = {};
  emulated_tiles().shapes = shapes;
}
inline void release_tiles() { emulated_tiles() = {}; }

template <int kTile>
inline void load_tile(const void* at, int64_t stride) {
  const EmulatedTile<uint8_t> tile(kTile);
  std::memset(tile.bytes, 0, sizeof(emulated_tiles().bytes[kTile]));
  for (int row = 0; row < tile.rows; ++row) {
    std::memcpy(tile.bytes[row], static_cast<const char*>(at) + row * stride,
                static_cast<size_t>(tile.row_bytes));
  }
}
template <int kTile>
inline void store_tile(void* at, int64_t stride) {
  const EmulatedTile<uint8_t> tile(kTile);
  for (int row = 0; row < tile.rows; ++row) {
    std::memcpy(static_cast<char*>(at) + row * stride, tile.bytes[row],
                static_cast<size_t>(tile.row_bytes));
  }
}
template <int kTile>
inline void zero_tile() {
  const EmulatedTile<uint8_t> tile(kTile);
  std::memset(tile.bytes, 0, sizeof(emulated_tiles().bytes[kTile]));
}

/// Stops where C[M, N] += A[M, K] B[K, N] has shapes that do not fit; words are four bytes of K.
template <class C, class A, class B>
inline void need_fitting(const C& c, const A& a, const B& b) {
  need(c.rows == a.rows && c.row_bytes == b.row_bytes && a.row_bytes == 4 * b.rows);
}

template <class A>
inline void emulate_products_of_bytes(int to, int left, int right) {
  const EmulatedTile<int32_t> c(to);
  const EmulatedTile<A> a(left);
  const EmulatedTile<int8_t> b(right);
  need_fitting(c, a, b);
  for (int m = 0; m < c.rows; ++m) {
    for (int n = 0; n < c.columns(); ++n) {
      auto sum = static_cast<uint32_t>(c.at(m, n));  // wraps around
      for (int k = 0; k < a.columns(); ++k) {
        sum += static_cast<uint32_t>(a.at(m, k) * b.at(k / 4, 4 * n + k % 4));
      }
      c.set(m, n, static_cast<int32_t>(sum));
    }
  }
}
template <int kC, int kA, int kB, bool kSignedA>
inline void add_products_of_bytes() {
  if constexpr (kSignedA) {
    emulate_products_of_bytes<int8_t>(kC, kA, kB);
  } else {
    emulate_products_of_bytes<uint8_t>(kC, kA, kB);
  }
}

/// Not inlined: compilers do not know that what rounds depends on a register.
[[gnu::noinline]] inline void emulate_products_of_bf16(int to, int left, int right) {
  const EmulatedTile<float> c(to);
  const EmulatedTile<uint16_t> a(left);
  const EmulatedTile<uint16_t> b(right);
  need_fitting(c, a, b);
  const auto widen = [](uint16_t x) {
    const uint32_t bits = static_cast<uint32_t>(x) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  };
  for (int m = 0; m < c.rows; ++m) {
    for (int n = 0; n < c.columns(); ++n) {
      float sum[2] = {};
      for (int k = 0; k < a.columns(); ++k) {
        sum[k % 2] =
            __builtin_fmaf(widen(a.at(m, k)), widen(b.at(k / 2, 2 * n + k % 2)), sum[k % 2]);
      }
      c.set(m, n, c.at(m, n) + (sum[0] + sum[1]));
    }
  }
}
template <int kC, int kA, int kB>
inline void add_products_of_bf16() {
  constexpr unsigned kDenormalsAreZero = 0x8040;  // operands and results
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kDenormalsAreZero);
  emulate_products_of_bf16(kC, kA, kB);
  _mm_setcsr(before);
}

}  // namespace corral::simd::CORRAL_ISA
