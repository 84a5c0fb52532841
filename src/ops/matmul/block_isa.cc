#include "ops/matmul/block_kernel.h"
#include "ops/matmul/block_panels.h"
#include "ops/matmul/block_rows.h"

namespace corral::ops::CORRAL_ISA {
namespace {

// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, halves to even.
constexpr float kRounder = 12582912.0f;

/// One group: its bytes in two pieces of 16, its scale, and the sums of the pieces.
struct Group {
  int8_t bytes[kGroup];
  float scale;
  int32_t sum[2];
};

void quantize_group(const float* x, Group& to) {
  float largest = 0;
  float check = 0;  // 0, or NaN as soon as a value is not finite
  for (int64_t i = 0; i < kGroup; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    largest = magnitude > largest ? magnitude : largest;
    check += x[i] * 0.0f;
  }
  const float scale = largest / 127.0f;
  const float inverse = scale > 1e-38f ? 1.0f / scale : 0.0f;
  const bool finite = check == 0;
  to.scale = scale + check;
  for (int half = 0; half < 2; ++half) {
    int32_t sum = 0;
    for (int64_t i = half * 16; i < half * 16 + 16; ++i) {
      const float rounded = x[i] * inverse + kRounder - kRounder;
      to.bytes[i] = finite ? static_cast<int8_t>(rounded) : int8_t{0};
      sum += to.bytes[i];
    }
    to.sum[half] = sum;
  }
}

template <class Format>
void quantize(const float* x, int64_t groups, const BlockRows& a, int64_t row) {
  constexpr auto kHalves = static_cast<int64_t>(Format::kHalves);
  const int64_t quads = (groups + kQuadGroups - 1) / kQuadGroups;
  for (int64_t g = 0; g < quads * kQuadGroups; ++g) {
    Group group = {};
    if (g < groups) quantize_group(x + g * kGroup, group);
    const int64_t quad = row * quads + g / kQuadGroups;
    const int64_t lane = g % kQuadGroups;
    std::memcpy(a.bytes + quad * kQuad + lane * 16, group.bytes, 16);
    std::memcpy(a.bytes + quad * kQuad + 64 + lane * 16, group.bytes + 16, 16);
    a.scales[quad * kQuadGroups + lane] = group.scale;
    if constexpr (kHalves == 1) group.sum[0] += group.sum[1];
    for (int64_t half = 0; half < kHalves; ++half) {
      const int64_t at = (quad * kHalves + half) * kQuadGroups + lane;
      a.start[at] = -Format::kOffset * group.sum[half];
      a.sums[at] = -group.scale * static_cast<float>(group.sum[half]);
    }
  }
}

template <class Format>
constexpr BlockKernel kernel_of() {
  return {.halves = static_cast<int64_t>(Format::kHalves),
          .quantize = quantize<Format>,
          .rows = rows<Format>,
          .panels = panels<Format>,
          .panel_scratch_bytes = panel_scratch_bytes};
}

}  // namespace

const BlockKernels kBlocks = {
    .q8_0 = kernel_of<Q8_0>(),
    .q4_0 = kernel_of<Q4_0>(),
    .q4_1 = kernel_of<Q4_1>(),
    .q5_0 = kernel_of<Q5_0>(),
    .q5_1 = kernel_of<Q5_1>(),
    .iq4_nl = kernel_of<IQ4_NL>(),
    .mxfp4 = kernel_of<MXFP4>(),
    .q2_k = kernel_of<Q2_K>(),
    .q3_k = kernel_of<Q3_K>(),
    .q4_k = kernel_of<Q4_K>(),
    .q5_k = kernel_of<Q5_K>(),
    .q6_k = kernel_of<Q6_K>(),
    .iq4_xs = kernel_of<IQ4_XS>(),
};

}  // namespace corral::ops::CORRAL_ISA
