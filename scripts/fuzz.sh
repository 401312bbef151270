#!/usr/bin/env bash
# scripts/fuzz.sh SECONDS [TARGET...]: each fuzz target, those of src/remote by default, for so long, by libFuzzer in a build of its own
# (build/fuzz-fast): with assertions and without sanitizers, which take ten times as long and have targets of their own (the preset
# `fuzz`). Goes on from what it found before. Prints how many inputs each has executed; ends with the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?SECONDS}
targets=("${@:2}")
((${#targets[@]})) || targets=(fuzz_remote_front fuzz_remote_pieces fuzz_remote_ring fuzz_remote_session fuzz_remote_worker)
build=build/fuzz-fast
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DTESSERA_SANITIZE=fuzzer-no-link -DTESSERA_BENCH=OFF -DTESSERA_CUDA_PROGRAMS=OFF -DTESSERA_WIDE_HANDLERS=OFF >/dev/null
cmake --build $build --target "${targets[@]}"
# Sessions take and give back memory in large pieces: it is kept, rather than mapped anew for each input. How rare what an input reaches
# is (-entropic) is not counted: that takes longer with every input that is found.
export GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824:glibc.malloc.arena_max=1
total=0
for target in "${targets[@]}"; do
  inputs=("$build/fuzz/found_$target" "tests/fuzz/corpus/${target#fuzz_}")
  [[ $target == fuzz_remote_worker ]] && inputs+=("$build/fuzz/remote_seeds")
  log=$build/fuzz/$target.log
  "$build/fuzz/$target" -max_total_time="$seconds" -print_final_stats=1 -max_len=4096 -verbosity=0 \
    -print_funcs=0 -entropic=0 -artifact_prefix="$build/fuzz/" "${inputs[@]}" >"$log" 2>&1 || { tail -40 "$log" && exit 1; }
  count=$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")
  printf '%-24s %12d executions\n' "$target" "$count"
  total=$((total + count))
done
printf '%-24s %12d executions\n' "in sum" $total
