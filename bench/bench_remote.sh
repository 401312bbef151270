#!/usr/bin/env bash
# bench_remote against a server it starts: calls over the driver that costs nothing, copies over the software GPU, by TCP and shared
# memory, on all processors and on one.
#   bench_remote.sh [BUILD_FOLDER]
set -euo pipefail
build=${1:-build/main}
folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
# The device of the driver that costs nothing.
export CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000001

measure() { # what, name, address, command before both
  local what=$1 name=$2 address=$3 driver=$build/null_driver/libcuda.so.1
  shift 3
  [[ $what == calls ]] || driver=lib/softgpu/libcuda.so.1
  echo "== $what: $name"
  [[ $what == calls ]] || unset CUDA_VISIBLE_DEVICES
  "$@" "$build/remote/plain_server" "$address" "$driver" >"$folder/address" &
  server=$!
  for _ in $(seq 50); do
    [[ -s $folder/address ]] && break
    sleep 0.1
  done
  export TESSERA_SERVER
  TESSERA_SERVER=$(cat "$folder/address")
  [[ $what != calls ]] || LD_LIBRARY_PATH=lib "$@" "$build/bench/remote_connect"
  LD_LIBRARY_PATH=lib "$@" "$build/bench/bench_remote" "$what"
  unset TESSERA_SERVER
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
  rm -f "$folder/address"
}

for pinned in "env" "taskset -c 0"; do
  name=$([[ $pinned == env ]] && echo "all processors" || echo "one processor")
  # shellcheck disable=SC2086
  measure calls "TCP, $name" 127.0.0.1:0 $pinned
  # shellcheck disable=SC2086
  measure calls "shared memory, $name" "shm:$folder/s" $pinned
done
measure copies "TCP" 127.0.0.1:0 env
measure copies "shared memory" "shm:$folder/s" env
echo "== copies: without a wire"
LD_LIBRARY_PATH=lib/softgpu "$build/bench/bench_remote" copies
