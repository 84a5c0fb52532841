#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corral::simd {

/// The instruction sets that kernels are compiled for, those of an architecture poorest first.
enum class Isa {
  kPortable,  // what every processor of the architecture has: SSE2 on x86-64, NEON on 64-bit ARM
  kAvx2,      // AVX2, FMA, F16C (Intel Haswell, AMD Zen and later)
  kAvx512,    // AVX-512 F, BW, DQ, VL with VNNI and BF16 (Intel Cooper Lake, AMD Zen 4 and later)
  kAmx,       // that and products of tiles of bytes and of bf16 (Intel Sapphire Rapids and later)
  kDotprod,   // products of bytes (ARM Cortex-A76 and Neoverse N1, Apple M1 and later)
};

/// The sets that this processor and operating system run, poorest first; never empty. Asks the
/// system for tiles, which it gives to a process once and for all.
std::vector<Isa> machine_isas();
/// Their names: "portable, avx2".
std::string machine_isa_names();
/// The best of them.
Isa detect_isa();
/// Whether this build has tiles in memory instead of the processor's (simd/emulated_tiles.h).
bool emulates_tiles();

/// "portable" (on 64-bit ARM "neon"), "avx2", "avx512", "amx", "dotprod". parse_isa takes what this
/// machine runs, and "portable" everywhere; it throws UsageError for anything else.
std::string_view isa_name(Isa isa);
Isa parse_isa(std::string_view name);

/// One value for each instruction set; choose() never picks one that was not compiled in.
/// Kernel folders keep their function tables in it. Inlined, it does not even refer to the others.
/// What is no product of many rows does with AMX what AVX-512 does.
template <class Table>
[[gnu::always_inline]] inline const Table& choose(Isa isa, const Table& portable,
                                                  [[maybe_unused]] const Table& avx2,
                                                  [[maybe_unused]] const Table& avx512) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 || isa == Isa::kAmx) return avx512;
  if (isa == Isa::kAvx2) return avx2;
#endif
  (void)isa;
  return portable;
}
/// The same for the few kernels that multiply bytes; with dotprod all others do what NEON does.
template <class Table>
[[gnu::always_inline]] inline const Table& choose(Isa isa, const Table& portable, const Table& avx2,
                                                  const Table& avx512,
                                                  [[maybe_unused]] const Table& dotprod) {
#if defined(__aarch64__)
  if (isa == Isa::kDotprod) return dotprod;
#endif
  return choose(isa, portable, avx2, avx512);
}
/// The same for the kernels that have tiles.
template <class Table>
[[gnu::always_inline]] inline const Table& choose(Isa isa, const Table& portable, const Table& avx2,
                                                  const Table& avx512,
                                                  [[maybe_unused]] const Table& amx,
                                                  const Table& dotprod) {
#if defined(__x86_64__)
  if (isa == Isa::kAmx) return amx;
#endif
  return choose(isa, portable, avx2, avx512, dotprod);
}

}  // namespace corral::simd
