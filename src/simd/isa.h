#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corral::simd {

/// The instruction sets that kernels are compiled for, those of an architecture poorest first.
enum class Isa {
  kPortable,    // what every processor of the architecture has: SSE2 on x86-64, NEON on 64-bit ARM
  kAvx2,        // AVX2, FMA, F16C (Intel Haswell, AMD Zen and later)
  kAvxVnni,     // that and products of bytes (AVX-VNNI: Intel Alder Lake, AMD Zen 5 and later)
  kAvx512,      // AVX-512 F, BW, DQ, VL and VNNI (Intel Cascade Lake, Ice Lake and later)
  kAvx512Bf16,  // that and products of bf16 (Intel Cooper Lake, AMD Zen 4 and later)
  kAmx,         // that and products of tiles of bytes and of bf16 (Intel Sapphire Rapids and later)
  kDotprod,     // products of bytes (ARM Cortex-A76 and Neoverse N1, Apple M1 and later)
};

/// The sets that this processor and operating system run, poorest first; never empty. Asks the
/// system for tiles, which it gives to a process once and for all.
std::vector<Isa> machine_isas();
/// Their names: "portable, avx2".
std::string machine_isa_names();
/// The best of them. The system is asked once: in a virtual machine that takes microseconds.
Isa detect_isa();
/// Whether this build has other instructions in the place of those of kAvxVnni and kAmx, so that
/// their kernels can be tested on processors without them (simd/vec.h, simd/emulated_tiles.h).
bool emulates_instructions();

/// "portable" (on 64-bit ARM "neon"), "avx2", "avx_vnni", "avx512", "avx512_bf16", "amx",
/// "dotprod". parse_isa takes what this machine runs, and "portable" everywhere; it throws
/// UsageError for anything else.
std::string_view isa_name(Isa isa);
Isa parse_isa(std::string_view name);

/// The set that a set adds something to; of kPortable that one.
constexpr Isa poorer(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
      return Isa::kAvx512Bf16;
    case Isa::kAvx512Bf16:
      return Isa::kAvx512;
    case Isa::kAvx512:
    case Isa::kAvxVnni:
      return Isa::kAvx2;
    case Isa::kAvx2:
    case Isa::kDotprod:
    case Isa::kPortable:
      break;
  }
  return Isa::kPortable;
}

/// Whether processors of this architecture can have the set.
constexpr bool is_of_this_architecture(Isa isa) {
#if defined(__x86_64__)
  return isa != Isa::kDotprod;
#elif defined(__aarch64__)
  return isa == Isa::kPortable || isa == Isa::kDotprod;
#else
  return isa == Isa::kPortable;
#endif
}

/// `taken` becomes the table of the set kSet if that is `isa`. One of another architecture is not
/// even referred to.
template <Isa kSet, class Table>
[[gnu::always_inline]] inline void take_if(Isa isa, [[maybe_unused]] const Table& table,
                                           const Table*& taken) {
  if constexpr (is_of_this_architecture(kSet)) {
    if (isa == kSet) taken = &table;
  }
}

/// One of the values for each instruction set: that of `isa` or of the next poorer set that has
/// one. Kernel folders keep their function tables in them. All have one for each of three sets;
/// those for the sets kOwn, which add something to a few kernels only, follow in that order.
template <Isa... kOwn, class Table, class... Own>
[[gnu::always_inline]] inline const Table& choose(Isa isa, const Table& portable, const Table& avx2,
                                                  const Table& avx512, const Own&... own) {
  const Table* taken = nullptr;
  for (Isa set = isa; taken == nullptr; set = poorer(set)) {
    (take_if<kOwn>(set, own, taken), ...);
    take_if<Isa::kAvx512>(set, avx512, taken);
    take_if<Isa::kAvx2>(set, avx2, taken);
    take_if<Isa::kPortable>(set, portable, taken);
  }
  return *taken;
}

}  // namespace corral::simd
