#pragma once

#include <cstdint>

namespace corral {

/// Runs `rounds` rounds of independent multiply-adds on registers and returns the operations done;
/// `sink` (three floats) keeps the compiler from dropping them.
using PeakKernel = double (*)(int64_t rounds, float* sink);

struct PeakKernels {
  PeakKernel f32;
  PeakKernel bf16;  // the same as f32 where the instruction set has no bf16 products
  PeakKernel int8;  // the same as f32 in the portable set and NEON
  PeakKernel int4;  // the same as int8 but with AVX2 alone
};

/// Those of an instruction set with tiles.
struct TilePeaks {
  PeakKernel bf16;
  PeakKernel int8;
};

namespace portable {
extern const PeakKernels kPeak;
}
namespace avx2 {
extern const PeakKernels kPeak;
}
namespace avx_vnni {
extern const PeakKernels kPeak;
}
namespace avx512 {
extern const PeakKernels kPeak;
}
namespace avx512_bf16 {
extern const PeakKernels kPeak;
}
namespace amx {
#if defined(__x86_64__)
extern const TilePeaks kPeak;
#endif
}  // namespace amx
namespace dotprod {
#if defined(__aarch64__)
extern const PeakKernels kPeak;
#else
using portable::kPeak;
#endif
}  // namespace dotprod

}  // namespace corral
