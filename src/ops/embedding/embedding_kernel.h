#pragma once

// What embedding.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc
// files may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct EmbeddingKernel {
  /// y[0, D) from D values of f16 or bf16.
  void (*widen_f16)(const uint16_t* x, float* y, int64_t D);
  void (*widen_bf16)(const uint16_t* x, float* y, int64_t D);
  /// sum[d] += x[d] for d < D.
  void (*accumulate)(const float* x, float* sum, int64_t D);
};

namespace portable {
extern const EmbeddingKernel kEmbedding;
}
namespace avx2 {
extern const EmbeddingKernel kEmbedding;
}
namespace avx512 {
extern const EmbeddingKernel kEmbedding;
}

}  // namespace corral::ops
