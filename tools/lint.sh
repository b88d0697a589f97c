#!/usr/bin/env bash
# clang-format and clang-tidy over all of our C++. Exit status 1 when anything is found.
# usage: lint.sh [--format-only|--without-analyzer] [FILE…]     (default: all files; clang-tidy uses every processor)
# The static analyzer takes twice as long as all other checks together.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_deps.sh lint

mode=all
case "${1:-}" in --format-only | --without-analyzer) mode=$1; shift ;; esac
mapfile -t all < <(git ls-files '*.cpp' '*.h')
[ $# -gt 0 ] && all=("$@")
clang-format --dry-run --Werror "${all[@]}"
[ "$mode" = --format-only ] && exit 0

cmake --preset release -DTOUCHSTONE_TESTS=ON >/dev/null
mapfile -t sources < <(printf '%s\n' "${all[@]}" | grep '^src/.*\.cpp$' || true)
[ ${#sources[@]} -eq 0 ] && exit 0
checks=()
[ "$mode" = --without-analyzer ] && checks=("--checks=-clang-analyzer-*")
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet "${checks[@]}" --extra-arg=-Wno-unknown-warning-option -p build/release
