#pragma once

// What scale_search.cc hands to the kernels of each instruction set; plain data, so that *_isa.cc
// files may include it (simd/vec.h).

#include <cstdint>

namespace corral::quant {

/// Scales (and offsets) that are tried at once, and the most values that share one.
inline constexpr int kTrials = 16;
inline constexpr int64_t kMostValues = 32;

/// The numbers that a code can stand for before scaling: the integers lo to hi, or a table of 16
/// ascending values.
struct CodeSet {
  float lo;
  float hi;
  const float* values = nullptr;
  const float* middles = nullptr;  // 15: between which neighbours a value changes sides
};

/// Values x with their weights w, written as scale q + offset.
struct ScaleTask {
  const float* x;
  const float* w;
  int64_t n;
  float scale[kTrials];
  float offset[kTrials];
};

/// Sums over the values for each trial; q is the number in the set nearest to (x - offset) / scale.
struct TrialSums {
  float wq[kTrials];
  float wqq[kTrials];
  float wxq[kTrials];
  float error[kTrials];  // w (x - scale q - offset)^2
};

/// Adds in the order of the values without fused operations: the same bits on every instruction
/// set, so that a quantized file does not depend on the machine that wrote it.
struct ScaleSearchKernel {
  void (*score)(const ScaleTask& task, const CodeSet& codes, TrialSums& sums);
};

namespace portable {
extern const ScaleSearchKernel kScaleSearch;
}
namespace avx2 {
extern const ScaleSearchKernel kScaleSearch;
}
namespace avx512 {
extern const ScaleSearchKernel kScaleSearch;
}

}  // namespace corral::quant
