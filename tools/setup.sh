#!/bin/sh
# Installs those packages of tools/packages.txt that are missing: setup.sh [SECTION...] (all sections
# when none is named). Silent and off the network when nothing is missing.
set -eu

list=$(dirname "$0")/packages.txt

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup: this is not a Debian system; if the build stops, install what $list names" >&2
  exit 0
fi

wanted=$(awk -v sections="$*" '
  /^\[/ { section = substr($1, 2, length($1) - 2); next }
  sections != "" && index(" " sections " ", " " section " ") == 0 { next }
  { sub(/#.*/, "") }
  NF { print $1 }' "$list")
if [ -z "$wanted" ]; then
  echo "setup: $list has no packages for '$*'" >&2
  exit 2
fi

missing=
for package in $wanted; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: these packages are missing and neither root nor sudo is here to install them:" >&2
    echo "setup:  $missing" >&2
    echo "setup: run as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "setup: installing$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
# shellcheck disable=SC2086  # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
