#!/usr/bin/env bash
# Runs what `make test` promises: every CTest of the main build, and the unit tests once more under
# AddressSanitizer and UndefinedBehaviorSanitizer, those of threaded code under ThreadSanitizer.
#   test.sh BUILD_DIR [--no-sanitizers]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: test.sh BUILD_DIR [--no-sanitizers]}
jobs=$(nproc)

sanitized() { # sanitized NAME SANITIZERS LABEL
  local name=$1 sanitizers=$2 label=$3
  cmake -S . -B "build/$name" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTESSERA_SANITIZE="$sanitizers" \
    -DTESSERA_BENCH=OFF -DTESSERA_CUDA_PROGRAMS=OFF >/dev/null
  cmake --build "build/$name" -j "$jobs" --target "tests_$label"
  ctest --test-dir "build/$name" --output-on-failure -j "$jobs" -L "$label"
}

ctest --test-dir "$build" --output-on-failure -j "$jobs" -LE soak
if [[ ${2:-} != --no-sanitizers ]]; then
  sanitized asan address,undefined unit
  sanitized tsan thread threads
fi
