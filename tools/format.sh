#!/bin/sh
# Formats every C++ file in place; with --check changes nothing and fails if one would change.
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ]; then
  mode='--dry-run -Werror'
else
  mode=-i
fi
# shellcheck disable=SC2086  # two options
git ls-files -z --cached --others --exclude-standard -- '*.cc' '*.h' | xargs -0 -r clang-format $mode
