#!/usr/bin/env bash
# The unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, and those of threaded code under ThreadSanitizer,
# each in a build of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)

sanitized() { # sanitized NAME SANITIZERS LABEL
  local name=$1 sanitizers=$2 label=$3
  cmake -S . -B "build/$name" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTESSERA_SANITIZE="$sanitizers" \
    -DTESSERA_BENCH=OFF -DTESSERA_CUDA_PROGRAMS=OFF >/dev/null
  cmake --build "build/$name" -j "$jobs" --target "tests_$label"
  ctest --test-dir "build/$name" --output-on-failure -j "$jobs" -L "$label"
}

sanitized asan address,undefined unit
sanitized tsan thread threads
