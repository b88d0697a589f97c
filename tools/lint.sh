#!/usr/bin/env bash
# clang-format and clang-tidy over all of our C++. Exit status 1 when anything is found.
# usage: lint.sh [FILE…]     (default: all; clang-tidy then uses every processor)
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_deps.sh lint

mapfile -t all < <(git ls-files '*.cpp' '*.h')
[ $# -gt 0 ] && all=("$@")
clang-format --dry-run --Werror "${all[@]}"

cmake --preset release -DTOUCHSTONE_TESTS=ON >/dev/null
mapfile -t sources < <(printf '%s\n' "${all[@]}" | grep '^src/.*\.cpp$' || true)
[ ${#sources[@]} -eq 0 ] && exit 0
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p build/release
