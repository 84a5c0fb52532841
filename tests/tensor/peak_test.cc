#include "tensor/peak.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "support/tensors.h"

namespace corral {
namespace {

TEST(MeasurePeak, IsPositiveForEverySetAndArithmetic) {
  for (const simd::Isa isa : test::machine_isas()) {
    const DevicePtr device = test::test_device(isa, 1);
    for (const Arithmetic arithmetic :
         {Arithmetic::kF32, Arithmetic::kBF16, Arithmetic::kInt8, Arithmetic::kInt4}) {
      EXPECT_GT(measure_peak(*device, arithmetic), 1e8) << simd::isa_name(isa);
    }
  }
}

TEST(MeasurePeak, GrowsWithShorterOperandsWhereThereAreProductsOfThem) {
  // Pairs of bf16 are not faster in vectors on every processor: on some with AMX they take twice as
  // long as floats.
  const std::vector<std::pair<simd::Isa, Arithmetic>> faster = {
      {simd::Isa::kAvx2, Arithmetic::kInt4},
      {simd::Isa::kAvxVnni, Arithmetic::kInt8},
      {simd::Isa::kAvx512, Arithmetic::kInt8},
      {simd::Isa::kAmx, Arithmetic::kInt8},
      {simd::Isa::kAmx, Arithmetic::kBF16}};
  const auto isas = test::machine_isas();
  int measured = 0;
  for (const auto& [isa, arithmetic] : faster) {
    if (std::find(isas.begin(), isas.end(), isa) == isas.end()) continue;
    const bool may_be_emulated = isa == simd::Isa::kAmx || isa == simd::Isa::kAvxVnni;
    if (may_be_emulated && simd::emulates_instructions()) continue;
    ++measured;
    const DevicePtr device = test::test_device(isa, 1);
    // Other programs may take the processor away in either measurement, but not in all of them.
    double ratio = 0;
    for (int attempt = 0; attempt < 20 && ratio < 1.2; ++attempt) {
      ratio = measure_peak(*device, arithmetic) / measure_peak(*device, Arithmetic::kF32);
    }
    EXPECT_GE(ratio, 1.2) << simd::isa_name(isa);
  }
  if (measured == 0) GTEST_SKIP() << "needs AVX2";
}

}  // namespace
}  // namespace corral
