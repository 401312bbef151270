#!/usr/bin/env bash
# remote_loop at several distances from its GPU, which remote_relay makes; and on the machine itself, before and after. A loop may
# take the round trip and 1.1 times what it takes without a wire.
#   bench_remote_rtt.sh [BUILD_FOLDER] [ITERATIONS] [STEPS]
set -euo pipefail
build=${1:-build/main} iterations=${2:-100} steps=${3:-100}
folder=$(mktemp -d)
server= relay=
cleanup() {
  for process in $relay $server; do kill "$process" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT

address_in() { # file: its first line, once it is there
  for _ in $(seq 100); do
    [[ -s $1 ]] && break
    sleep 0.1
  done
  head -1 "$1"
}

"$build/remote/plain_server" 127.0.0.1:0 lib/softgpu/libcuda.so.1 >"$folder/server" &
server=$!
address=$(address_in "$folder/server")

here() { LD_LIBRARY_PATH=lib/softgpu "$build/bench/remote_loop" "$iterations" "$steps"; }
there() { LD_LIBRARY_PATH=lib TESSERA_SERVER=$1 "$build/bench/remote_loop" "$iterations" "$steps"; }

local_us=$(here)
echo "without a wire                 $local_us us an iteration of 200 launches and a copy back"
echo "over TCP, no delay             $(there "${address#tcp://}") us"
for rtt in 0 100 1000 10000 30000; do
  mkfifo "$folder/in$rtt"
  "$build/tests/remote_relay" --to "${address#tcp://}" "delay=$((rtt / 2))" <"$folder/in$rtt" >"$folder/out$rtt" &
  relay=$!
  exec 3>"$folder/in$rtt"
  took=$(there "127.0.0.1:$(address_in "$folder/out$rtt")")
  exec 3>&-
  wait "$relay" || true
  relay=
  awk -v rtt=$rtt -v took="$took" -v here="$local_us" 'BEGIN {
    printf "round trip %6.1f ms            %s us, %.2f times what is allowed (round trip + 1.1 x local)\n", rtt / 1000, took, took / (rtt + 1.1 * here) }'
done
echo "without a wire, again          $(here) us"
