#!/usr/bin/env bash
# What the guest adds to a call: bench_guest in a slice of its own, over the driver that costs nothing.
#   bench_guest.sh BUILD_DIR [bench_guest's options]
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${1:?usage: bench_guest.sh BUILD_DIR [--rounds N]}")
shift
state=$(mktemp -d)
daemon=
# Its folder goes when the daemon has gone that writes there.
trap '[[ -z $daemon ]] || { kill "$daemon" && wait "$daemon" || true; }; rm -rf "$state"' EXIT
# A daemon of its own: the one of the user has another driver.
export TESSERA_SOCKET=$state/tesserad.sock TESSERA_DRIVER=$build/null_driver/libcuda.so.1
export SOFTGPU_STATE_DIR=$state/devices
bin/tesserad --foreground &
daemon=$!
for _ in $(seq 100); do
  [[ -S $TESSERA_SOCKET ]] && break
  sleep 0.1
done
bin/tessera run --name bench --mem 1GiB -- "$build/bench/bench_guest" "$TESSERA_DRIVER" "$PWD/lib/libcuda.so.1" "$@"
