#include "simd/isa.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace corral::simd {

namespace {

constexpr Isa kAll[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kDotprod};

bool runs([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  if (isa == Isa::kAvx2) return avx2;
  if (isa == Isa::kAvx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
  }
#elif defined(__aarch64__)
  // Half precision is optional from version 8.2 on, for which these kernels are compiled.
  constexpr unsigned long kNeeded = HWCAP_ASIMDDP | HWCAP_ASIMDHP;
  if (isa == Isa::kDotprod) return (getauxval(AT_HWCAP) & kNeeded) == kNeeded;
#endif
  return isa == Isa::kPortable;
}

}  // namespace

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

Isa detect_isa() { return *std::find_if(std::rbegin(kAll), std::rend(kAll), runs); }

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
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
