#!/usr/bin/env bash
# scripts/remote_coverage.sh [RUNS] [FOLDER...]: how many lines of what decodes the other side's bytes the fuzz targets of src/remote
# reach, by clang, in a build of their own (build/coverage): from their corpora, from those that the build makes (remote_seeds), from
# the inputs in FOLDER/worker, FOLDER/session, FOLDER/front and FOLDER/pieces where given, and from RUNS further inputs of each that
# are made from these (default: 50000). Fails below 95 % of the lines.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-50000} more=("${@:2}")
flags="-fprofile-instr-generate -fcoverage-mapping"
cmake -S . -B build/coverage -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_C_FLAGS="$flags" -DTESSERA_BENCH=OFF -DTESSERA_CUDA_PROGRAMS=OFF -DTESSERA_WIDE_HANDLERS=OFF >/dev/null
cmake --build build/coverage --target fuzz_remote_{worker,session,front,pieces}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
objects=()
for kind in worker session front pieces; do
  mkdir "$folder/$kind"
  inputs=("$folder/$kind" "tests/fuzz/corpus/remote_$kind")
  [[ $kind == worker ]] && inputs+=(build/coverage/fuzz/remote_seeds)
  for one in "${more[@]}"; do [[ -d $one/$kind ]] && inputs+=("$one/$kind"); done
  LLVM_PROFILE_FILE="$folder/$kind.profraw" "build/coverage/fuzz/fuzz_remote_$kind" -runs="$runs" -seed=1 -max_len=4096 -verbosity=0 \
    "${inputs[@]}" >"$folder/log" 2>&1 || { tail -20 "$folder/log" && exit 1; }
  objects+=(-object "build/coverage/fuzz/fuzz_remote_$kind")
done
llvm-profdata merge -sparse "$folder"/*.profraw -o "$folder/all.profdata"
# What reads bytes that nobody vouches for.
decoders=(build/coverage/generated/remote/worker_calls.cc src/remote/wire/reader.h src/remote/session/{messages,preamble}.cc
  src/remote/link/link_receive.cc src/remote/worker/{code,context,copy,graph,host,ipc,launch,memory}_calls.cc
  src/remote/worker/{serving,handle_table,content_in,pieces_in}.cc)
llvm-cov report "${objects[@]:1}" -instr-profile "$folder/all.profdata" "${decoders[@]/#/$PWD/}" |
  awk '/^(Filename|TOTAL)/ || /\.(cc|h) / { printf "%-40s %8s %8s %9s\n", $1, $8, $9, $10 } /^TOTAL/ { exit $10 + 0 < 95 }'
