#include "tensor/peak.h"

#include <gtest/gtest.h>

#include "support/tensors.h"

namespace corral {
namespace {

TEST(MeasurePeak, IsPositiveForEverySetAndArithmetic) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    for (const Arithmetic arithmetic : {Arithmetic::kF32, Arithmetic::kBF16, Arithmetic::kInt8}) {
      EXPECT_GT(measure_peak(*device, arithmetic), 1e8) << simd::isa_name(isa);
    }
  }
}

TEST(MeasurePeak, GrowsWithShorterOperandsWhereThereAreProductsOfThem) {
  const DevicePtr device = test::test_device(simd::detect_isa(), 1);
  if (device->isa() != simd::Isa::kAvx512) GTEST_SKIP() << "needs AVX-512";
  // Other programs may take the processor away in either measurement, but not in all of them.
  for (const Arithmetic arithmetic : {Arithmetic::kBF16, Arithmetic::kInt8}) {
    double ratio = 0;
    for (int attempt = 0; attempt < 20 && ratio < 1.2; ++attempt) {
      ratio = measure_peak(*device, arithmetic) / measure_peak(*device, Arithmetic::kF32);
    }
    EXPECT_GE(ratio, 1.2);
  }
}

}  // namespace
}  // namespace corral
