#pragma once

// What layer_norm.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc
// files may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct LayerNormKernel {
  /// Rows [0, rows) of D; mean and r receive one number a row.
  void (*forward)(const float* x, const float* w, const float* b, float eps, float* y, float* mean,
                  float* r, int64_t rows, int64_t D);
  /// dx = the gradient of x for these rows.
  void (*input_gradient)(const float* dy, const float* x, const float* w, const float* mean,
                         const float* r, float* dx, int64_t rows, int64_t D);
  /// dw and db are set to the sums over these rows.
  void (*weight_gradient)(const float* dy, const float* x, const float* mean, const float* r,
                          float* dw, float* db, int64_t rows, int64_t D);
};

namespace portable {
extern const LayerNormKernel kLayerNorm;
}
namespace avx2 {
extern const LayerNormKernel kLayerNorm;
}
namespace avx512 {
extern const LayerNormKernel kLayerNorm;
}

}  // namespace corral::ops
