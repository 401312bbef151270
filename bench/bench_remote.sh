#!/usr/bin/env bash
# bench_remote against a server it starts: calls and copies over the driver that costs nothing, copies over the software GPU as well,
# which copies with the same processors, by TCP and shared memory, calls on all processors, on one, and on one for each side.
#   bench_remote.sh [BUILD_FOLDER]
set -euo pipefail
build=${1:-build/main}
folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
# The device of the driver that costs nothing.
export CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000001

null_driver=$build/null_driver/libcuda.so.1 software_gpu=lib/softgpu/libcuda.so.1

measure() { # what, name, address, driver, command before both
  local what=$1 name=$2 address=$3 driver=$4
  shift 4
  echo "== $what: $name"
  [[ $driver == "$null_driver" ]] || unset CUDA_VISIBLE_DEVICES
  "$@" "$build/remote/plain_server" "$address" "$driver" >"$folder/address" &
  server=$!
  for _ in $(seq 50); do
    [[ -s $folder/address ]] && break
    sleep 0.1
  done
  export TESSERA_SERVER
  TESSERA_SERVER=$(cat "$folder/address")
  [[ $what != calls ]] || LD_LIBRARY_PATH=lib "$@" "$build/bench/remote_connect"
  LD_LIBRARY_PATH=lib "$@" "$build/bench/bench_remote" "$what" $([[ $what != apart ]] || echo "$server")
  unset TESSERA_SERVER
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
  rm -f "$folder/address"
}

for pinned in "env" "taskset -c 0"; do
  name=$([[ $pinned == env ]] && echo "all processors" || echo "one processor")
  # shellcheck disable=SC2086
  measure calls "TCP, $name" 127.0.0.1:0 "$null_driver" $pinned
  # shellcheck disable=SC2086
  measure calls "shared memory, $name" "shm:$folder/s" "$null_driver" $pinned
done
if (($(nproc) > 1)); then
  measure apart "TCP, program and server on a processor each" 127.0.0.1:0 "$null_driver" env
  measure apart "shared memory, program and server on a processor each" "shm:$folder/s" "$null_driver" env
fi
measure copies "TCP" 127.0.0.1:0 "$null_driver" env
measure copies "shared memory" "shm:$folder/s" "$null_driver" env
measure copies "TCP, software GPU" 127.0.0.1:0 "$software_gpu" env
measure copies "shared memory, software GPU" "shm:$folder/s" "$software_gpu" env
echo "== copies: without a wire"
LD_LIBRARY_PATH=lib/softgpu "$build/bench/bench_remote" copies
