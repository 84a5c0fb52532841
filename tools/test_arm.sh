#!/bin/sh
# Compiles the kernels for 64-bit ARM and runs their tests in qemu: test_arm.sh [JOBS [FILTER]]. Once
# as a processor with everything that qemu knows and once as one without dot products, on which an
# instruction that does not belong into NEON's kernels stops the test. Skips, with a line that says
# so, where compiler or emulator are missing.
set -eu
cd "$(dirname "$0")/.."
jobs=${1:-2}
filter=${2:-.}

for needed in aarch64-linux-gnu-g++ qemu-aarch64 /usr/src/googletest/CMakeLists.txt; do
  if ! command -v "$needed" >/dev/null && [ ! -f "$needed" ]; then
    echo "test-arm: skipped, $needed is not here: install [arm] of tools/packages.txt"
    exit 0
  fi
done

cmake --preset arm >/dev/null
cmake --build --preset arm -j "$jobs"
# The emulator has no limit on address space, which the first of these sets, and maps no file larger
# than memory, as the second does; the others read thousands of tokens, which takes it minutes.
without='AnErrorAndNoCrashWhenTheSystemHasNoMoreThreads|OpeningAHugeFileReadsOnlyItsHeader'
without="$without|SeesItsChunkAloneAround8192And16384|Attention.MemoryIsLinearInLength"
for processor in max cortex-a53; do
  echo "test-arm: $processor"
  QEMU_CPU=$processor python3 tools/run_tests.py build/arm -j "$jobs" -R "$filter" -E "$without"
done
