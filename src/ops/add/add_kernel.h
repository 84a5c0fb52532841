#pragma once

// What add.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files may
// include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct AddKernel {
  /// y[i] = a[i] + b[i] for i < n; y may be a.
  void (*forward)(const float* a, const float* b, float* y, int64_t n);
};

namespace portable {
extern const AddKernel kAdd;
}
namespace avx2 {
extern const AddKernel kAdd;
}
namespace avx512 {
extern const AddKernel kAdd;
}

}  // namespace corral::ops
