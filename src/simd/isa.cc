#include "simd/isa.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace corral::simd {

namespace {

constexpr Isa kAll[] = {Isa::kPortable,   Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512,
                        Isa::kAvx512Bf16, Isa::kAmx,  Isa::kDotprod};

#if defined(__x86_64__)
/// The registers of part `part` of the processor's extended features, zero where there is none.
struct ExtendedFeatures {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  explicit ExtendedFeatures(unsigned part) { __get_cpuid_count(7, part, &a, &b, &c, &d); }
};

bool has_avx_vnni() { return (ExtendedFeatures(1).a >> 4 & 1) != 0; }

/// Whether the processor has tiles with products of bytes and bf16 and Linux lets this process use
/// them, which it has to be asked for (Documentation/arch/x86/xstate.rst).
bool has_tiles() {
  constexpr unsigned kNeeded = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, -TILE, -INT8
  if ((ExtendedFeatures(0).d & kNeeded) != kNeeded) return false;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// Whether the processor has what the set adds to poorer(isa).
bool has_what_it_adds(Isa isa) {
  __builtin_cpu_init();
  switch (isa) {
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("bmi2");
    case Isa::kAvxVnni:
      return emulates_instructions() || has_avx_vnni();
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
    case Isa::kAvx512Bf16:
      return __builtin_cpu_supports("avx512bf16");
    case Isa::kAmx:
      return __builtin_cpu_supports("avx512vbmi") && (emulates_instructions() || has_tiles());
    case Isa::kDotprod:
    case Isa::kPortable:
      break;
  }
  return false;
}
#elif defined(__aarch64__)
bool has_what_it_adds(Isa isa) {
  // Half precision is optional from version 8.2 on, for which these kernels are compiled.
  constexpr unsigned long kNeeded = HWCAP_ASIMDDP | HWCAP_ASIMDHP;
  return isa == Isa::kDotprod && (getauxval(AT_HWCAP) & kNeeded) == kNeeded;
}
#else
bool has_what_it_adds(Isa) { return false; }
#endif

bool runs(Isa isa) { return isa == Isa::kPortable || (runs(poorer(isa)) && has_what_it_adds(isa)); }

}  // namespace

bool emulates_instructions() {
#if defined(CORRAL_EMULATED)
  return true;
#else
  return false;
#endif
}

std::vector<Isa> machine_isas() {
  std::vector<Isa> isas;
  std::copy_if(std::begin(kAll), std::end(kAll), std::back_inserter(isas), runs);
  return isas;
}

std::string machine_isa_names() {
  std::string names;
  for (const Isa isa : machine_isas()) {
    names += names.empty() ? "" : ", ";
    names += isa_name(isa);
  }
  return names;
}

Isa detect_isa() {
  static const Isa isa = *std::find_if(std::rbegin(kAll), std::rend(kAll), runs);
  return isa;
}

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
      return "amx";
    case Isa::kAvx512Bf16:
      return "avx512_bf16";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvxVnni:
      return "avx_vnni";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kDotprod:
      return "dotprod";
    case Isa::kPortable:
      break;
  }
#if defined(__aarch64__)
  return "neon";
#else
  return "portable";
#endif
}

Isa parse_isa(std::string_view name) {
  if (name == "portable") return Isa::kPortable;
  for (const Isa isa : machine_isas()) {
    if (name == isa_name(isa)) return isa;
  }
  throw UsageError(
      str("instruction set '", name, "' is not one of this machine's: ", machine_isa_names()));
}

}  // namespace corral::simd
