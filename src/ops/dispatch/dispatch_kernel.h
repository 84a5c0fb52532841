#pragma once

// What dispatch.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files
// may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

/// The arrays that both directions share.
struct DispatchArgs {
  const float* x;            // [T, D]
  const float* logits;       // [T, E]
  const int32_t* expert_TK;  // [T, K]
  const int32_t* row_of_TK;  // [T, K]
  int64_t E;
  int64_t K;
  int64_t D;
};

struct DispatchKernel {
  /// Writes the rows of the tokens [begin, end).
  void (*forward)(const DispatchArgs& args, float* rows, int64_t begin, int64_t end);
  /// Writes dx and adds to dlogits, of the tokens [begin, end); either may be null.
  void (*backward)(const DispatchArgs& args, const float* drows, float* dx, float* dlogits,
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
