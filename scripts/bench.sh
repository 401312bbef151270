#!/usr/bin/env bash
# Runs every benchmark of the build, one after the other, or the named one ("shares": tenants on one GPU, and how long an
# urgent one waits). Each prints its own floor beside its figures:
# compare within one run, not across machines.
#   bench.sh BUILD_DIR [NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench.sh BUILD_DIR [NAME]}
for program in "$build"/bench/${2:-*}; do
  [ -x "$program" ] || continue
  name=$(basename "$program")
  echo "== $name"
  case $name in
    bench_guest) bench/bench_guest.sh "$build" ;;
    bench_pool) "$program" --rounds "${REPETITIONS:-3}" "$PWD/lib/softgpu/libcuda.so.1" ;;
    bench_swap) "$program" --rounds "$((3 * ${REPETITIONS:-3}))" --directory "${TMPDIR:-/tmp}" ;;
    bench_page_codec) "$program" --rounds "${REPETITIONS:-3}" ;;
    bench_reclaim | bench_compute_broker | bench_counters | bench_transport) "$program" ;;
    bench_remote) bench/bench_remote.sh "$build" ;;
    remote_connect) ;; # bench_remote.sh runs it
    remote_loop) bench/bench_remote_rtt.sh "$build" ;;
    tcp_ping) bench/bench_remote_link.sh "$build" ;;
    bench_monitoring) "$program" scrape bin/tesserad && "$program" sampling bin/tesserad ;;
    device_busy) python3 bench/truth/truth.py --bin bin --program "$build/programs/driver_timed" --busy "$program" ;;
    bench_kernels) LD_LIBRARY_PATH=$PWD/lib/softgpu "$program" ;;
    *) "$program" --benchmark_repetitions="${REPETITIONS:-3}" --benchmark_enable_random_interleaving=true \
      --benchmark_report_aggregates_only=true ;;
  esac
done
case ${2:-shares} in
  shares)
    of_tenants=(--bin bin --load "$build/shares/share_load" --rounds "${REPETITIONS:-3}")
    echo "== shares"
    python3 bench/shares/shares.py "${of_tenants[@]}" --bare-turns "$build/shares/bare_turns"
    echo "== latency"
    python3 bench/shares/latency.py "${of_tenants[@]}" ;;
esac
