#pragma once

#include <string_view>

namespace corral::simd {

/// The instruction sets that kernels are compiled for, poorest first.
enum class Isa {
  kPortable,  // what every processor of the architecture has (SSE2 on x86-64)
  kAvx2,      // AVX2, FMA, F16C (Intel Haswell, AMD Zen and later)
  kAvx512,    // AVX-512 F, BW, DQ, VL with VNNI and BF16 (Intel Cooper Lake, AMD Zen 4 and later)
};

/// The best set that this processor and operating system run.
Isa detect_isa();

/// "portable", "avx2", "avx512"; parse_isa throws UsageError for anything else.
std::string_view isa_name(Isa isa);
Isa parse_isa(std::string_view name);

/// One value for each instruction set; choose() never picks one that was not compiled in.
/// Kernel folders keep their function tables in it.
template <class Table>
const Table& choose(Isa isa, const Table& portable, [[maybe_unused]] const Table& avx2,
                    [[maybe_unused]] const Table& avx512) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return avx512;
  if (isa == Isa::kAvx2) return avx2;
#endif
  (void)isa;
  return portable;
}

}  // namespace corral::simd
