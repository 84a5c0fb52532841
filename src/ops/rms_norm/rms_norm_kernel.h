#pragma once

// What rms_norm.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct RmsNormKernel {
  /// Rows [0, rows) of D; y may be x; w may be null; r, unless null, receives one number a row.
  void (*forward)(const float* x, const float* w, float eps, float* y, float* r, int64_t rows,
                  int64_t D);
  /// dx may be null. dw, unless null, is set to the sum over these rows.
  void (*backward)(const float* dy, const float* x, const float* w, const float* r, float* dx,
                   float* dw, int64_t rows, int64_t D);
};

namespace portable {
extern const RmsNormKernel kRmsNorm;
}
namespace avx2 {
extern const RmsNormKernel kRmsNorm;
}
namespace avx512 {
extern const RmsNormKernel kRmsNorm;
}

}  // namespace corral::ops
