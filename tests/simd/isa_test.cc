#include "simd/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace corral::simd {
namespace {

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
  const auto of_all = [&](Isa isa) { return choose(isa, portable, avx2, avx512); };
  const int avx_vnni = 3;
  const int avx512_bf16 = 4;
  const int amx = 5;
  const int dotprod = 6;
  const auto of_few = [&](Isa isa) {
    return choose<Isa::kAvxVnni, Isa::kAvx512Bf16, Isa::kAmx, Isa::kDotprod>(
        isa, portable, avx2, avx512, avx_vnni, avx512_bf16, amx, dotprod);
  };
  EXPECT_EQ(of_all(Isa::kPortable), portable);
  EXPECT_EQ(of_few(Isa::kPortable), portable);
  EXPECT_EQ(of_all(Isa::kDotprod), portable);
#if defined(__x86_64__)
  EXPECT_EQ(of_all(Isa::kAvx2), avx2);
  EXPECT_EQ(of_all(Isa::kAvxVnni), avx2);
  EXPECT_EQ(of_all(Isa::kAvx512), avx512);
  EXPECT_EQ(of_all(Isa::kAvx512Bf16), avx512);
  EXPECT_EQ(of_all(Isa::kAmx), avx512);
  EXPECT_EQ(of_few(Isa::kAvx2), avx2);
  EXPECT_EQ(of_few(Isa::kAvxVnni), avx_vnni);
  EXPECT_EQ(of_few(Isa::kAvx512), avx512);
  EXPECT_EQ(of_few(Isa::kAvx512Bf16), avx512_bf16);
  EXPECT_EQ(of_few(Isa::kAmx), amx);
  EXPECT_EQ(choose<Isa::kAvx512Bf16>(Isa::kAmx, portable, avx2, avx512, avx512_bf16), avx512_bf16);
  EXPECT_EQ(choose<Isa::kAvxVnni>(Isa::kAvx512, portable, avx2, avx512, avx_vnni), avx512);
#else
  EXPECT_EQ(of_all(Isa::kAvx512), portable);
  EXPECT_EQ(of_few(Isa::kAmx), portable);
#endif
#if defined(__aarch64__)
  EXPECT_EQ(of_few(Isa::kDotprod), dotprod);
#endif
}

#if defined(__x86_64__)
/// Whether Linux says that the processor has it.
bool has_flag(const std::string& flag) {
  std::ifstream info("/proc/cpuinfo");
  const std::string flags((std::istreambuf_iterator<char>(info)), std::istreambuf_iterator<char>());
  return flags.find(" " + flag + " ") != std::string::npos ||
         flags.find(" " + flag + "\n") != std::string::npos;
}
#endif

TEST(Isa, DetectionAgreesWithWhatTheSystemSays) {
  const Isa best = detect_isa();
  EXPECT_EQ(machine_isas().front(), Isa::kPortable);
  EXPECT_EQ(machine_isas().back(), best);
#if defined(__x86_64__)
  const auto expect = [](Isa isa, bool there) {
    const std::vector<Isa> isas = machine_isas();
    EXPECT_EQ(std::find(isas.begin(), isas.end(), isa) != isas.end(), there) << isa_name(isa);
  };
  const bool avx2 = has_flag("avx2") && has_flag("fma") && has_flag("bmi2");
  const bool avx512 = avx2 && has_flag("avx512f") && has_flag("avx512bw") && has_flag("avx512dq") &&
                      has_flag("avx512vl") && has_flag("avx512_vnni");
  const bool bf16 = avx512 && has_flag("avx512_bf16");
  expect(Isa::kAvx2, avx2);
  if (emulates_instructions() || has_flag("avx_vnni")) expect(Isa::kAvxVnni, avx2);  // since 5.12
  expect(Isa::kAvx512, avx512);
  expect(Isa::kAvx512Bf16, bf16);
  // Linux without the state of tiles hides the flags.
  const bool tiles = has_flag("amx_tile") && has_flag("amx_bf16") && has_flag("amx_int8");
  expect(Isa::kAmx, bf16 && has_flag("avx512vbmi") && (emulates_instructions() || tiles));
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
