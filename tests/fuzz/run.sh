#!/usr/bin/env bash
# Builds the fuzz targets and runs them one after another; stops at the first finding, whose input it names.
# usage: run.sh SECONDS [TARGET…]     (default: all targets; each goes on from what it learned last time, in build/fuzz/corpus)
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:?usage: run.sh SECONDS [TARGET…]}
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then targets=(request http json schema template tokenizer gguf safetensors); fi

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
build/fuzz/tests/fuzz/write_fuzz_seeds build/fuzz/seeds
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/corpus/$target"
  build/fuzz/tests/fuzz/"${target}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$target-" "build/fuzz/corpus/$target" "build/fuzz/seeds/$target"
done
