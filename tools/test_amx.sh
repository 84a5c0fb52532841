#!/bin/sh
# Tests the kernels of AMX where the processor has none, with its tiles in memory
# (src/simd/emulated_tiles.h): test_amx.sh [JOBS [FILTER]]. Skips, with a line that says so, on
# processors without the vectors that these kernels use beside tiles.
set -eu
cd "$(dirname "$0")/.."
jobs=${1:-2}
filter=${2:-.}

for needed in avx512vbmi avx512_vnni avx512_bf16; do
  if ! grep -qw "$needed" /proc/cpuinfo; then
    echo "test-amx: skipped, this processor has no $needed"
    exit 0
  fi
done

cmake --preset amx >/dev/null
cmake --build --preset amx -j "$jobs" --target corral_all_tests
python3 tools/run_tests.py build/amx -j "$jobs" -R "$filter"
