#!/usr/bin/env bash
# remote_loop at several distances from its GPU, which remote_relay makes; and on the machine itself, before and after. A loop may
# take the round trip and 1.1 times what it takes without a wire. The round trip is a bare ping-pong's through the same relay, of as
# many bytes as the loop sends and gets: what the relay and wake-ups cost is in it. Processors that have had nothing to do for the
# time of a round trip are slower at first, here as there: what the loop takes after such a pause is told, too.
#   bench_remote_rtt.sh [BUILD_FOLDER] [ITERATIONS] [STEPS]
set -euo pipefail
build=${1:-build/main} iterations=${2:-100} steps=${3:-100}
# shellcheck source=bench/relayed.sh
source "$(dirname "$0")/relayed.sh"

# A launch is some 130 bytes.
there_bytes=26000 back_bytes=4200
here() { LD_LIBRARY_PATH=lib/softgpu "$build/bench/remote_loop" "$iterations" "$steps" "${1:-0}"; } # idle before each: microseconds
there() { LD_LIBRARY_PATH=lib TESSERA_SERVER=$1 "$build/bench/remote_loop" "$iterations" "$steps"; }

start_server
start_echo
# The least of a few: a machine that has just had something else to do would allow more than is meant.
local_us=$(for _ in 1 2 3; do here; done | sort -g | head -1)
echo "without a wire                 $local_us us an iteration of 200 launches and a copy back"
echo "over TCP, no delay             $(there "$address") us"
for rtt in 0 100 1000 10000 30000; do
  relayed "$echo_address" "delay=$((rtt / 2))"
  ping=$("$build/bench/tcp_ping" "127.0.0.1:$port" "$iterations" $there_bytes $back_bytes)
  unrelay
  relayed "$address" "delay=$((rtt / 2))"
  took=$(there "127.0.0.1:$port")
  unrelay
  idle=$(here $rtt)
  awk -v rtt=$rtt -v ping="$ping" -v took="$took" -v here="$local_us" -v idle="$idle" 'BEGIN {
    printf "round trip of %4.1f ms          %s us, a bare ping-pong %s us: %.2f times what is allowed (ping-pong + 1.1 x local; %.2f by the delay alone)\n",
      rtt / 1000, took, ping, took / (ping + 1.1 * here), took / (rtt + 1.1 * here)
    printf "  without a wire, after as long without work: %s us; by that %.2f times what is allowed\n", idle, took / (ping + 1.1 * idle) }'
done
echo "without a wire, again          $(here) us"
