#!/bin/sh
# Tests the kernels of AVX-VNNI and AMX where the processor has neither, with other instructions in
# their place (src/simd/vec.h, src/simd/emulated_tiles.h): test_emulated.sh [JOBS [FILTER]]. Those of
# AMX need a processor with the vectors that they use beside tiles. Skips, with a line that says so,
# on processors without AVX2.
set -eu
cd "$(dirname "$0")/.."
jobs=${1:-2}
filter=${2:-.}

missing() {
  for needed in "$@"; do
    grep -qw "$needed" /proc/cpuinfo || echo "$needed"
  done
}
if [ -n "$(missing avx2 fma bmi2)" ]; then
  echo "test-emulated: skipped, this processor has no AVX2"
  exit 0
fi
of_tiles=$(missing avx512vbmi avx512_vnni avx512_bf16)
if [ -n "$of_tiles" ]; then
  echo "test-emulated: AVX-VNNI alone, as for AMX this processor lacks" $of_tiles
fi

cmake --preset emulated >/dev/null
cmake --build --preset emulated -j "$jobs" --target corral_all_tests
python3 tools/run_tests.py build/emulated -j "$jobs" -R "$filter"
