#pragma once

// What dispatch.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

/// The arrays that both directions share.
struct DispatchArgs {
  const float* x;               // [T, D]
  const float* scores;          // [N]
  const int32_t* row_of_token;  // [T, K]
  int64_t K;
  int64_t D;
};

struct DispatchKernel {
  /// Writes the rows of the tokens [begin, end).
  void (*forward)(const DispatchArgs& args, float* rows, int64_t begin, int64_t end);
  /// dx and ds of the tokens [begin, end); either may be null.
  void (*backward)(const DispatchArgs& args, const float* drows, float* dx, float* ds,
                   int64_t begin, int64_t end);
};

namespace portable {
extern const DispatchKernel kDispatch;
}
namespace avx2 {
extern const DispatchKernel kDispatch;
}
namespace avx512 {
extern const DispatchKernel kDispatch;
}

}  // namespace corral::ops
