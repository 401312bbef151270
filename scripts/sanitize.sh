#!/usr/bin/env bash
# scripts/sanitize.sh [address|thread] [REGEX]: the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer,
# those of threaded code (guest, daemon, driver, executor) under ThreadSanitizer, or both; each in a build of its own.
# REGEX: only the tests whose names match it.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
# A forked child goes on to start threads, as programs do.
export TSAN_OPTIONS="die_after_fork=0 halt_on_error=1${TSAN_OPTIONS:+ $TSAN_OPTIONS}"

sanitized() { # sanitized NAME SANITIZERS LABEL REGEX
  local name=$1 sanitizers=$2 label=$3 regex=$4
  cmake -S . -B "build/$name" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTESSERA_SANITIZE="$sanitizers" \
    -DTESSERA_BENCH=OFF -DTESSERA_CUDA_PROGRAMS=OFF -DTESSERA_WIDE_HANDLERS=OFF >/dev/null
  cmake --build "build/$name" -j "$jobs" --target "tests_$label"
  ctest --test-dir "build/$name" --output-on-failure --no-tests=error -j "$jobs" -L "$label" -R "$regex"
}

which=${1:-all} regex=${2:-.}
case $which in
  address) sanitized asan address,undefined unit "$regex" ;;
  thread) sanitized tsan thread threads "$regex" ;;
  all)
    sanitized asan address,undefined unit "$regex"
    sanitized tsan thread threads "$regex"
    ;;
  *)
    echo "usage: scripts/sanitize.sh [address|thread] [REGEX]" >&2
    exit 2
    ;;
esac
