#!/bin/sh
# Runs every fuzz target: fuzz.sh BUILD_FOLDER SECONDS_EACH. New inputs stay in BUILD_FOLDER/corpus;
# the seeds of target NAME are the files in tests/fuzz/corpus/NAME.
set -eu
build=$1
seconds=$2
ran=0
for target in "$build"/*_fuzz; do
  [ -x "$target" ] || continue
  name=$(basename "$target")
  echo "== $name"
  mkdir -p "$build/corpus/$name"
  seeds=tests/fuzz/corpus/$name
  [ -d "$seeds" ] || seeds=
  # A hostile file may cost neither gigabytes nor more than a few seconds.
  # shellcheck disable=SC2086  # the seeds are one folder or none
  "$target" -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=10 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/$name-" \
    "$build/corpus/$name" $seeds
  ran=$((ran + 1))
done
if [ "$ran" -eq 0 ]; then
  echo "fuzz: $build has no fuzz targets" >&2
  exit 1
fi
echo "fuzz: $ran targets, nothing found"
