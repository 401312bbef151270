#!/usr/bin/env bash
# scripts/remote_coverage.sh [RUNS] [FOLDER...]: how many lines of what decodes clients' messages the fuzz targets of src/remote
# reach, by clang: from their corpora, from the inputs in FOLDER/worker, FOLDER/session and FOLDER/front where given, and from RUNS
# further inputs that are made from these (default: 200000; sessions and the worker have a build of their own, build/coverage).
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-200000} more=("${@:2}")
flags="-fprofile-instr-generate -fcoverage-mapping"
cmake -S . -B build/coverage -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_C_FLAGS="$flags" -DTESSERA_BENCH=OFF -DTESSERA_CUDA_PROGRAMS=OFF -DTESSERA_WIDE_HANDLERS=OFF >/dev/null
cmake --build build/coverage --target fuzz_remote_worker fuzz_remote_session fuzz_remote_front
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
objects=()
for kind in worker session front; do
  mkdir "$folder/$kind"
  inputs=("$folder/$kind" "tests/fuzz/corpus/remote_$kind")
  for one in "${more[@]}"; do [[ -d $one/$kind ]] && inputs+=("$one/$kind"); done
  LLVM_PROFILE_FILE="$folder/$kind.profraw" "build/coverage/fuzz/fuzz_remote_$kind" -runs="$runs" -seed=1 -max_len=4096 -verbosity=0 \
    "${inputs[@]}" >"$folder/log" 2>&1 || { tail -20 "$folder/log" && exit 1; }
  objects+=(-object "build/coverage/fuzz/fuzz_remote_$kind")
done
llvm-profdata merge -sparse "$folder"/*.profraw -o "$folder/all.profdata"
# What reads bytes that nobody vouches for.
decoders=(build/coverage/generated/remote/worker_calls.cc src/remote/wire/reader.h src/remote/session/{messages,preamble}.cc
  src/remote/link/link_receive.cc src/remote/worker/{code,context,copy,graph,host,ipc,launch}_calls.cc src/remote/worker/serving.cc
  src/remote/worker/handle_table.cc)
llvm-cov report "${objects[@]:1}" -instr-profile "$folder/all.profdata" "${decoders[@]/#/$PWD/}" |
  awk '/^(Filename|TOTAL)/ || /\.(cc|h) / { printf "%-40s %8s %8s %9s\n", $1, $8, $9, $10 }'
