#!/usr/bin/env bash
# remote_loop at several distances from its GPU, which remote_relay makes; and on the machine itself, before and after. A loop may
# take the round trip and 1.1 times what it takes without a wire.
#   bench_remote_rtt.sh [BUILD_FOLDER] [ITERATIONS] [STEPS]
set -euo pipefail
build=${1:-build/main} iterations=${2:-100} steps=${3:-100}
folder=$(mktemp -d)
server= relay= echo=
cleanup() {
  for process in $relay $server $echo; do kill "$process" 2>/dev/null || true; done
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

mkfifo "$folder/echo_in"
"$build/bench/tcp_ping" serve <"$folder/echo_in" >"$folder/echo" &
echo=$!
exec 4>"$folder/echo_in"
# A launch is some 130 bytes.
there_bytes=26000 back_bytes=4200

relayed() { # to, delay: sets port; ends with unrelay
  rm -f "$folder/in" "$folder/out"
  mkfifo "$folder/in"
  "$build/tests/remote_relay" --to "$1" "delay=$2" <"$folder/in" >"$folder/out" &
  relay=$!
  exec 3>"$folder/in"
  port=$(address_in "$folder/out")
}
unrelay() {
  exec 3>&-
  wait "$relay" || true
  relay=
}

here() { LD_LIBRARY_PATH=lib/softgpu "$build/bench/remote_loop" "$iterations" "$steps"; }
there() { LD_LIBRARY_PATH=lib TESSERA_SERVER=$1 "$build/bench/remote_loop" "$iterations" "$steps"; }

local_us=$(here)
echo "without a wire                 $local_us us an iteration of 200 launches and a copy back"
echo "over TCP, no delay             $(there "${address#tcp://}") us"
for rtt in 0 100 1000 10000 30000; do
  relayed "127.0.0.1:$(address_in "$folder/echo")" $((rtt / 2))
  ping=$("$build/bench/tcp_ping" "127.0.0.1:$port" "$iterations" $there_bytes $back_bytes)
  unrelay
  relayed "${address#tcp://}" $((rtt / 2))
  took=$(there "127.0.0.1:$port")
  unrelay
  awk -v rtt=$rtt -v ping="$ping" -v took="$took" -v here="$local_us" 'BEGIN {
    printf "delay of %4.1f ms both ways     %s us, a bare ping-pong %s us: %.2f times what is allowed (round trip + 1.1 x local; with the bare delay for it %.2f)\n",
      rtt / 1000, took, ping, took / (ping + 1.1 * here), took / (rtt + 1.1 * here) }'
done
echo "without a wire, again          $(here) us"
