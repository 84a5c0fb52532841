#pragma once

// What add_bias.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct AddBiasKernel {
  /// y = x + b for `rows` rows of D.
  void (*forward)(const float* x, const float* b, float* y, int64_t rows, int64_t D);
  /// sum is set to the sum of the rows.
  void (*sum_rows)(const float* x, float* sum, int64_t rows, int64_t D);
};

namespace portable {
extern const AddBiasKernel kAddBias;
}
namespace avx2 {
extern const AddBiasKernel kAddBias;
}
namespace avx512 {
extern const AddBiasKernel kAddBias;
}

}  // namespace corral::ops
