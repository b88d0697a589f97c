#!/usr/bin/env bash
# clang-format and clang-tidy over all of our C++. Exit status 1 when anything is found.
# usage: lint.sh [--format-only] [FILE…] | --quick     (default: all files; clang-tidy uses every processor)
# --quick: what CI has time for. Without the static analyzer, which takes twice as long as all other checks together, and
# with several files at a time, as the sanitizers' builds join them: most of the rest is spent on the headers they share.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_deps.sh lint

mode=all
case "${1:-}" in --format-only | --quick) mode=$1; shift ;; esac
mapfile -t all < <(git ls-files '*.cpp' '*.cu' '*.h')
[ $# -gt 0 ] && all=("$@")
clang-format --dry-run --Werror "${all[@]}"
[ "$mode" = --format-only ] && exit 0

preset=release
checks=()
if [ "$mode" = --quick ]; then
  preset=asan
  checks=("--checks=-clang-analyzer-*,-bugprone-suspicious-include")
fi
cmake --preset $preset -DTOUCHSTONE_TESTS=ON >/dev/null
if [ "$mode" = --quick ]; then
  mapfile -t sources < <(grep -oP "\"file\": \"\K$PWD/(build/$preset/)?src/.*(?=\")" build/$preset/compile_commands.json |
    grep -E '\.(cpp|cxx)$' | grep -v '_resources\.cpp$')
else
  mapfile -t sources < <(printf '%s\n' "${all[@]}" | grep '^src/.*\.cpp$' || true)
fi
[ ${#sources[@]} -eq 0 ] && exit 0
printf '%s\0' "${sources[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet "${checks[@]}" --extra-arg=-Wno-unknown-warning-option -p build/$preset
