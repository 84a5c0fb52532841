#pragma once

// What cross_entropy.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc
// files may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct RowLoss {
  float nll;
  float log_sum;  // z, the logarithm of the sum of e^l
};

struct CrossEntropyKernel {
  /// The loss of one row of V logits.
  RowLoss (*forward)(const float* logits, int64_t V, int32_t target);
  /// The same, and the gradient of scale * (nll + z_loss * z^2) in place of the logits.
  RowLoss (*gradient)(float* logits, int64_t V, int32_t target, float scale, float z_loss);
};

namespace portable {
extern const CrossEntropyKernel kCrossEntropy;
}
namespace avx2 {
extern const CrossEntropyKernel kCrossEntropy;
}
namespace avx512 {
extern const CrossEntropyKernel kCrossEntropy;
}

}  // namespace corral::ops
