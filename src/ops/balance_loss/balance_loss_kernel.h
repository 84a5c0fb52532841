#pragma once

// What balance_loss.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc
// files may include it (simd/vec.h).

#include <cstddef>
#include <cstdint>

namespace corral::ops {

struct BalanceLossKernel {
  /// probability[e] = sigmoid(logits[e]) / sum_e' sigmoid(logits[e']) for one token.
  void (*probabilities)(const float* logits, float* probability, int64_t E);
  /// dlogits[t, e] = dy[t, e] + scale * dL/dl for rows tokens.
  void (*backward)(const float* dy, const float* logits, const float* load, float scale,
                   float* dlogits, int64_t rows, int64_t E);
};

namespace portable {
extern const BalanceLossKernel kBalanceLoss;
}
namespace avx2 {
extern const BalanceLossKernel kBalanceLoss;
}
namespace avx512 {
extern const BalanceLossKernel kBalanceLoss;
}

}  // namespace corral::ops
