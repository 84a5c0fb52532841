#pragma once

// What matmul.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

enum class Element : uint8_t { kF32, kF16, kBF16 };

/// Rows of B up to which AMX multiplies floats in tiles. With many rows of A tiles are faster; with
/// one they read B more slowly, and of a vocabulary, which is most of what a small model reads,
/// most products are with one. Rows of A cannot decide: a row's bits must not depend on how many
/// there are.
inline constexpr int64_t kMostTileRows = 1 << 16;

/// One factor of a product: rows of k elements, anywhere in memory; strides in elements. A piece
/// has some of all_rows.
struct Factor {
  const void* data = nullptr;
  Element element = Element::kF32;
  int64_t row_stride = 0;
  int64_t k_stride = 0;
  int64_t all_rows = 0;
  int64_t interleaved = 0;  // rows at a time (quant/interleaved.h); only of B
};

/// One piece of work for one thread: C[m, n] (+)= A[m, k] B[n, k]^T. `exchanged`: A is the
/// product's second factor.
struct Piece {
  Factor a;
  Factor b;
  float* c = nullptr;
  int64_t c_row_stride = 0;
  int64_t c_col_stride = 0;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool accumulate = false;
  bool bf16 = false;
  bool exchanged = false;
};

/// The kernels of one instruction set.
struct MatmulKernel {
  int64_t tile_rows;  // rows of C that a tile keeps in registers: pieces are multiples of it
  int64_t lanes;      // floats in a vector: pieces' columns are multiples of it
  /// How many rows of B may lie interleaved at a time, in f32 or bf16 and with A along k: pieces'
  /// columns are multiples of them. 0: none.
  int64_t interleaved;
  /// Memory that multiply() needs for this piece, a multiple of 64 bytes; no less for a piece of
  /// it.
  int64_t (*scratch_bytes)(const Piece& piece);
  void (*multiply)(const Piece& piece, std::byte* scratch);
};

namespace portable {
extern const MatmulKernel kMatmul;
}
namespace avx2 {
extern const MatmulKernel kMatmul;
}
namespace avx512 {
extern const MatmulKernel kMatmul;
}
namespace avx512_bf16 {
extern const MatmulKernel kMatmul;
}
namespace amx {
#if defined(__x86_64__)
extern const MatmulKernel kMatmul;
#else
using portable::kMatmul;
#endif
}  // namespace amx

}  // namespace corral::ops
