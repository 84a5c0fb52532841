#include "ops/rope/rope_kernel.h"
#include "simd/vec.h"

namespace corral::ops::CORRAL_ISA {
namespace {

using simd::CORRAL_ISA::F32;
using simd::CORRAL_ISA::fma;
using simd::CORRAL_ISA::kLanes;
using simd::CORRAL_ISA::load;
using simd::CORRAL_ISA::store;

template <class V>
V swap_neighbours(V v) {
  if constexpr (sizeof(V) == 64) {
    return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  } else if constexpr (sizeof(V) == 32) {
    return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
  } else {
    return __builtin_shufflevector(v, v, 1, 0, 3, 2);
  }
}

void rotate_row(const float* x, const float* table, int64_t H, int64_t C, bool inverse, float* y) {
  int64_t c = 0;
  for (; c + kLanes <= C; c += kLanes) {
    const F32 cosine = load(table + c);
    const F32 sine = inverse ? -load(table + C + c) : load(table + C + c);
    for (int64_t h = 0; h < H; ++h) {
      const F32 v = load(x + h * C + c);
      store(y + h * C + c, fma(v, cosine, swap_neighbours(v) * sine));
    }
  }
  for (; c < C; c += 2) {
    const float sine = inverse ? -table[C + c] : table[C + c];
    const float next_sine = inverse ? -table[C + c + 1] : table[C + c + 1];
    for (int64_t h = 0; h < H; ++h) {
      const float first = x[h * C + c];
      const float second = x[h * C + c + 1];
      y[h * C + c] = fma(first, table[c], second * sine);
      y[h * C + c + 1] = fma(second, table[c + 1], first * next_sine);
    }
  }
}

void rotate(const float* x, const float* const* tables, int64_t rows, int64_t H, int64_t C,
            bool inverse, float* y) {
  for (int64_t t = 0; t < rows; ++t) {
    rotate_row(x + t * H * C, tables[t], H, C, inverse, y + t * H * C);
  }
}

}  // namespace

extern const RopeKernel kRope;
const RopeKernel kRope = {rotate};

}  // namespace corral::ops::CORRAL_ISA
