#pragma once

// What combine.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct CombineKernel {
  /// y of the tokens [begin, end); each has K rows. y may be shared.
  void (*forward)(const float* shared, const float* rows, const int32_t* row_of_token, int64_t K,
                  int64_t D, float* y, int64_t begin, int64_t end);
  /// drows of the tokens [begin, end).
  void (*backward)(const float* dy, const int32_t* row_of_token, int64_t K, int64_t D, float* drows,
                   int64_t begin, int64_t end);
};

namespace portable {
extern const CombineKernel kCombine;
}
namespace avx2 {
extern const CombineKernel kCombine;
}
namespace avx512 {
extern const CombineKernel kCombine;
}

}  // namespace corral::ops
