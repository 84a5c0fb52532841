#include "simd/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "base/error.h"

namespace corral::simd {
namespace {

using ::testing::ElementsAre;

#if defined(__aarch64__)
constexpr std::string_view kBase = "neon";
constexpr std::string_view kForeign = "avx2";
#else
constexpr std::string_view kBase = "portable";
constexpr std::string_view kForeign = "neon";
#endif

TEST(Isa, NamesOfThisMachineReadBack) {
  for (const Isa isa : machine_isas()) EXPECT_EQ(parse_isa(isa_name(isa)), isa);
  EXPECT_EQ(parse_isa("portable"), Isa::kPortable);
  EXPECT_EQ(isa_name(Isa::kPortable), kBase);
}

TEST(Isa, ANameThatThisMachineDoesNotRunIsRefusedWithThoseItDoes) {
  for (const std::string_view name : {kForeign, std::string_view("sse9"), std::string_view()}) {
    try {
      parse_isa(name);
      FAIL() << name;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(machine_isa_names()));
    }
  }
}

TEST(Isa, ChoiceFollowsTheInstructionSet) {
  const int portable = 0;
  const int avx2 = 1;
  const int avx512 = 2;
  const int dotprod = 3;
  const int amx = 4;
  EXPECT_EQ(choose(Isa::kPortable, portable, avx2, avx512), portable);
  EXPECT_EQ(choose(Isa::kPortable, portable, avx2, avx512, dotprod), portable);
#if defined(__x86_64__)
  EXPECT_EQ(choose(Isa::kAvx2, portable, avx2, avx512), avx2);
  EXPECT_EQ(choose(Isa::kAvx512, portable, avx2, avx512, dotprod), avx512);
  EXPECT_EQ(choose(Isa::kAmx, portable, avx2, avx512), avx512);
  EXPECT_EQ(choose(Isa::kAmx, portable, avx2, avx512, dotprod), avx512);
  EXPECT_EQ(choose(Isa::kAmx, portable, avx2, avx512, amx, dotprod), amx);
  EXPECT_EQ(choose(Isa::kAvx512, portable, avx2, avx512, amx, dotprod), avx512);
#else
  EXPECT_EQ(choose(Isa::kAvx512, portable, avx2, avx512), portable);
  EXPECT_EQ(choose(Isa::kAmx, portable, avx2, avx512, amx, dotprod), portable);
#endif
#if defined(__aarch64__)
  EXPECT_EQ(choose(Isa::kDotprod, portable, avx2, avx512, dotprod), dotprod);
#endif
  EXPECT_EQ(choose(Isa::kDotprod, portable, avx2, avx512), portable);
}

TEST(Isa, DetectionAgreesWithWhatTheSystemSays) {
  const Isa best = detect_isa();
  EXPECT_EQ(machine_isas().front(), Isa::kPortable);
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  EXPECT_EQ(best != Isa::kPortable, avx2 && __builtin_cpu_supports("bmi2"));
  if (best == Isa::kAvx512) {
    EXPECT_TRUE(__builtin_cpu_supports("avx512f"));
    EXPECT_THAT(machine_isas(), ElementsAre(Isa::kPortable, Isa::kAvx2, Isa::kAvx512));
  }
  std::ifstream info("/proc/cpuinfo");
  const std::string flags((std::istreambuf_iterator<char>(info)), std::istreambuf_iterator<char>());
  if (best == Isa::kAmx) {
    EXPECT_TRUE(emulates_tiles() || flags.find(" amx_tile") != std::string::npos);
    EXPECT_THAT(machine_isas(), ElementsAre(Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAmx));
  } else {  // Linux without the state of tiles hides the flags
    EXPECT_TRUE(best != Isa::kAvx512 || flags.find(" amx_bf16") == std::string::npos ||
                flags.find(" amx_int8") == std::string::npos);
  }
#elif defined(__aarch64__)
  std::ifstream info("/proc/self/auxv", std::ios::binary);
  uint64_t entry[2] = {};
  bool dotprod = false;
  while (info.read(reinterpret_cast<char*>(entry), sizeof(entry)) && entry[0] != 0) {
    constexpr uint64_t kCapabilities = 16;  // AT_HWCAP; bits 10 and 20 are fp16 and byte products
    if (entry[0] == kCapabilities) dotprod = (entry[1] >> 10 & entry[1] >> 20 & 1) != 0;
  }
  EXPECT_EQ(best, dotprod ? Isa::kDotprod : Isa::kPortable);
#else
  EXPECT_EQ(best, Isa::kPortable);
#endif
}

}  // namespace
}  // namespace corral::simd
