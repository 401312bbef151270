#!/usr/bin/env bash
# Copies over a link that remote_relay holds to a rate, of data that compress more and less, beside a bare stream over the same link,
# and what the best of the encodings does with such data by itself: no copy gains more than that.
#   bench_remote_link.sh [BUILD_FOLDER] [BYTES_A_SECOND]
set -euo pipefail
build=${1:-build/main} rate=${2:-125000000}
bytes=$((64 << 20))
# shellcheck source=bench/relayed.sh
source "$(dirname "$0")/relayed.sh"

start_echo
relayed "$echo_address" "rate=$rate"
there=$("$build/bench/tcp_ping" "127.0.0.1:$port" 3 $bytes 8)
back=$("$build/bench/tcp_ping" "127.0.0.1:$port" 3 8 $bytes)
unrelay

start_server
relayed "$address" "rate=$rate"
# The relay holds each connection to the rate: several would carry more.
TESSERA_SERVER_STRIPES=1 TESSERA_SERVER="127.0.0.1:$port" LD_LIBRARY_PATH=lib "$build/bench/bench_remote" link >"$folder/copies"
unrelay
awk -v bytes=$bytes -v there="$there" -v back="$back" '
  BEGIN { printf "a bare stream: %.0f MB/s there, %.0f MB/s back\n", bytes / there, bytes / back }
  { printf "%-7s %.2f of the bare stream to the device, %.2f from it; %s: %.2f times less, %.0f MB/s to encode, %.0f to decode\n",
      $1, there / ($2 * 1e6), back / ($3 * 1e6), $4, $5, $6 / 1e6, $7 / 1e6 }' "$folder/copies"
