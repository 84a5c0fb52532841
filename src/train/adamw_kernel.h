#pragma once

#include <cstdint>

namespace corral::train {

/// The numbers of one AdamW step, the same for every element of a tensor.
struct AdamwStep {
  float gradient_scale;  // from clipping
  float keep;            // 1 - lr * weight_decay, or 1
  float beta1;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float step_size;             // lr / (1 - beta1^t)
  float inverse_root_of_bias;  // 1 / sqrt(1 - beta2^t)
  float epsilon;
};

/// p, m and v are updated in place from the gradient g; all have n elements.
using AdamwKernel = void (*)(const AdamwStep& step, float* p, float* m, float* v, const float* g,
                             int64_t n);

namespace portable {
extern const AdamwKernel kAdamw;
}
namespace avx2 {
extern const AdamwKernel kAdamw;
}
namespace avx512 {
extern const AdamwKernel kAdamw;
}

}  // namespace corral::train
