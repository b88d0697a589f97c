#!/usr/bin/env bash
# clang-format and clang-tidy over all of our C++. Exit status 1 when anything is found.
# usage: lint.sh [--format-only] [FILE…]     (default: all files; clang-tidy uses every processor)
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_deps.sh lint

format_only=false
if [ "${1:-}" = --format-only ]; then
  format_only=true
  shift
fi
mapfile -t all < <(git ls-files '*.cpp' '*.h')
[ $# -gt 0 ] && all=("$@")
clang-format --dry-run --Werror "${all[@]}"
[ "$format_only" = true ] && exit 0

cmake --preset release -DTOUCHSTONE_TESTS=ON >/dev/null
mapfile -t sources < <(printf '%s\n' "${all[@]}" | grep '^src/.*\.cpp$' || true)
[ ${#sources[@]} -eq 0 ] && exit 0
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p build/release
