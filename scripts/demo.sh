#!/usr/bin/env bash
# Two tenants share one GPU, each a real CUDA program held to its own memory and its share of the time. Uses the NVIDIA card where there is a driver,
# the software GPU otherwise.
#   demo.sh        SECONDS_TO_RUN=8 for a longer run
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_TO_RUN:-5}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

bin/tessera doctor || { echo "tessera doctor names what is missing" >&2; exit 1; }
echo
echo "Tenant alice may use 1 GiB and 70 % of the time and multiplies matrices; tenant bob may use 512 MiB and 30 % and draws"
echo "the Mandelbrot set. Both run for $seconds s on GPU 0. Bob then asks for 2 GiB, beyond his limit."
echo
tenant() { # tenant NAME LIMIT SHARE ARGUMENTS...
  local name=$1 limit=$2 share=$3
  shift 3
  bin/tessera run --gpu 0 --mem "$limit" --sm "$share" --name "$name" --json-summary "$work/$name.summary" -- \
    bin/tessera-demo-tenant --name "$name" --seconds "$seconds" --json "$@" >"$work/$name.out"
}
tenant alice 1GiB 70 --work matmul --memory 600MiB &
alice=$!
tenant bob 512MiB 30 --work mandelbrot --memory 300MiB --ask-beyond 2GiB &
bob=$!
sleep $((seconds / 2 + 1))
bin/tessera ps
wait $alice || { echo "alice failed:" >&2; cat "$work/alice.out" >&2; exit 1; }
wait $bob || { echo "bob failed:" >&2; cat "$work/bob.out" >&2; exit 1; }
echo
python3 scripts/demo_table.py "$work"
