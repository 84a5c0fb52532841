#pragma once

// What rope.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc files may
// include it (simd/vec.h).

#include <cstdint>

namespace corral::ops {

struct RopeKernel {
  /// y = rotated x for `rows` rows of H heads of C floats (C even); y may be x. tables[t] is row
  /// t's of a RopeTable; inverse turns the other way.
  void (*rotate)(const float* x, const float* const* tables, int64_t rows, int64_t H, int64_t C,
                 bool inverse, float* y);
};

namespace portable {
extern const RopeKernel kRope;
}
namespace avx2 {
extern const RopeKernel kRope;
}
namespace avx512 {
extern const RopeKernel kRope;
}

}  // namespace corral::ops
