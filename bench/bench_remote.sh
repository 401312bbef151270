#!/usr/bin/env bash
# bench_remote against a server it starts, over the software GPU: TCP and shared memory, on all processors and on one.
#   bench_remote.sh [BUILD_FOLDER]
set -euo pipefail
build=${1:-build/main}
folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT

measure() { # name, address, command before both
  echo "== $1"
  shift
  local address=$1
  shift
  "$@" "$build/remote/plain_server" "$address" lib/softgpu/libcuda.so.1 >"$folder/address" &
  server=$!
  for _ in $(seq 50); do
    [[ -s $folder/address ]] && break
    sleep 0.1
  done
  TESSERA_SERVER=$(cat "$folder/address") LD_LIBRARY_PATH=lib "$@" "$build/bench/bench_remote"
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
  rm -f "$folder/address"
}

measure "TCP" 127.0.0.1:0 env
measure "TCP, one processor" 127.0.0.1:0 taskset -c 0
measure "shared memory" "shm:$folder/s" env
echo "== without a wire"
LD_LIBRARY_PATH=lib/softgpu "$build/bench/bench_remote"
