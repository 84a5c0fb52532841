#pragma once

// What silu_mul.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct SiluMulKernel {
  /// y[i] = silu(gate[i]) * up[i] for i < n; y may be gate.
  void (*forward)(const float* gate, const float* up, float* y, int64_t n);
  /// Both gradients for i < n; either may be null.
  void (*backward)(const float* dy, const float* gate, const float* up, float* dgate, float* dup,
                   int64_t n);
};

namespace portable {
extern const SiluMulKernel kSiluMul;
}
namespace avx2 {
extern const SiluMulKernel kSiluMul;
}
namespace avx512 {
extern const SiluMulKernel kSiluMul;
}

}  // namespace corral::ops
