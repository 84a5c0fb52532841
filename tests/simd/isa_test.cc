#include "simd/isa.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace corral::simd {
namespace {

TEST(Isa, NamesReadBack) {
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    EXPECT_EQ(parse_isa(isa_name(isa)), isa);
  }
  EXPECT_THROW(parse_isa("sse9"), UsageError);
}

TEST(Isa, ChoiceFollowsTheInstructionSet) {
  const int portable = 0;
  const int avx2 = 1;
  const int avx512 = 2;
  EXPECT_EQ(choose(Isa::kPortable, portable, avx2, avx512), portable);
#if defined(__x86_64__)
  EXPECT_EQ(choose(Isa::kAvx2, portable, avx2, avx512), avx2);
  EXPECT_EQ(choose(Isa::kAvx512, portable, avx2, avx512), avx512);
#else
  EXPECT_EQ(choose(Isa::kAvx512, portable, avx2, avx512), portable);
#endif
}

TEST(Isa, DetectionAgreesWithTheCompilersProbe) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  EXPECT_EQ(detect_isa() >= Isa::kAvx2, avx2 && __builtin_cpu_supports("bmi2"));
  if (detect_isa() == Isa::kAvx512) {
    EXPECT_TRUE(__builtin_cpu_supports("avx512f"));
  }
#else
  EXPECT_EQ(detect_isa(), Isa::kPortable);
#endif
}

}  // namespace
}  // namespace corral::simd
