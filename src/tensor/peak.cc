#include "tensor/peak.h"

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "simd/isa.h"
#include "tensor/peak_kernel.h"

namespace corral {
namespace {

constexpr double kSampleSeconds = 0.015;
constexpr int kSamples = 4;
constexpr int64_t kRounds = 20000;

PeakKernels kernels_of(const Device& device) {
  PeakKernels kernels =
      simd::choose<simd::Isa::kAvxVnni, simd::Isa::kAvx512Bf16, simd::Isa::kDotprod>(
          device.isa(), portable::kPeak, avx2::kPeak, avx512::kPeak, avx_vnni::kPeak,
          avx512_bf16::kPeak, dotprod::kPeak);
#if defined(__x86_64__)
  if (device.isa() == simd::Isa::kAmx) {
    kernels.bf16 = amx::kPeak.bf16;
    kernels.int8 = amx::kPeak.int8;
    kernels.int4 = amx::kPeak.int8;
  }
#endif
  return kernels;
}

PeakKernel kernel_of(const Device& device, Arithmetic arithmetic) {
  const PeakKernels kernels = kernels_of(device);
  switch (arithmetic) {
    case Arithmetic::kBF16:
      return kernels.bf16;
    case Arithmetic::kInt8:
      return kernels.int8;
    case Arithmetic::kInt4:
      return kernels.int4;
    case Arithmetic::kF32:
      break;
  }
  return kernels.f32;
}

}  // namespace

double measure_peak(Device& device, Arithmetic arithmetic) {
  const PeakKernel kernel = kernel_of(device, arithmetic);
  double best = 0;
  for (int sample = 0; sample < kSamples; ++sample) {
    std::vector<double> operations(static_cast<size_t>(device.threads().size()));
    const auto start = Clock::now();
    const auto seconds = [&] { return seconds_since(start); };
    device.threads().run([&](int member) {
      float values[3] = {1.0f, 1e-3f, 0.0f};
      double done = 0;
      while (seconds() < kSampleSeconds) done += kernel(kRounds, values);
      operations[static_cast<size_t>(member)] = done;
    });
    double total = 0;
    for (const double done : operations) total += done;
    best = std::max(best, total / seconds());
  }
  return best;
}

}  // namespace corral
