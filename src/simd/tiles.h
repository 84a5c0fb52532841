#pragma once

// The tile registers of AMX: eight, of up to sixteen rows of 64 bytes. For *_amx.cc files and the
// headers they include. (The compilers' own intrinsics want the register as a literal, so that a
// loop over tiles would have to be written out.)

#include <cstdint>

#include "simd/tile_shapes.h"

#if !defined(CORRAL_TILES)
#error "simd/tiles.h is for *_amx.cc files only"
#endif

#if defined(CORRAL_EMULATED_TILES)
#include "simd/emulated_tiles.h"
#else

namespace corral::simd::CORRAL_ISA {

/// Gives the tiles their shapes; all are zeros then.
inline void load_shapes(const TileShapes& shapes) { asm volatile("ldtilecfg %0" ::"m"(shapes)); }
/// Lets go of the tiles, so that the system need not save them with the thread.
inline void release_tiles() { asm volatile("tilerelease"); }

/// Rows `stride` bytes apart from `at` on.
template <int kTile>
[[gnu::always_inline]] inline void load_tile(const void* at, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(at), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
[[gnu::always_inline]] inline void store_tile(void* at, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(at), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
[[gnu::always_inline]] inline void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}

/// C[M, N] += A[M, K] B[K, N] with four bytes of K of a column of B side by side, those of B
/// signed, those of A too or not.
template <int kC, int kA, int kB, bool kSignedA>
[[gnu::always_inline]] inline void add_products_of_bytes() {
  if constexpr (kSignedA) {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  } else {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  }
}
/// The same of bf16 with pairs of K side by side and sums in f32. The products of a call are summed
/// by themselves, those of the even and of the odd K each in order, and then added to C. Denormal
/// operands and results are zero.
template <int kC, int kA, int kB>
[[gnu::always_inline]] inline void add_products_of_bf16() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}

}  // namespace corral::simd::CORRAL_ISA

#endif
