#pragma once

// What gelu.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files may
// include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct GeluKernel {
  /// y[i] = gelu(x[i]) for i < n.
  void (*forward)(const float* x, float* y, int64_t n);
  /// dx[i] = dy[i] gelu'(x[i]) for i < n.
  void (*backward)(const float* dy, const float* x, float* dx, int64_t n);
};

namespace portable {
extern const GeluKernel kGelu;
}
namespace avx2 {
extern const GeluKernel kGelu;
}
namespace avx512 {
extern const GeluKernel kGelu;
}

}  // namespace corral::ops
