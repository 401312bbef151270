#!/usr/bin/env bash
# Runs every benchmark of the build, one after the other, or those that are named, and goes on where one fails. Each prints its own
# floor beside its figures: compare within one run, not across machines. bin/performance_test says more.
#   bench.sh BUILD_DIR [--list | NAME ...]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench.sh BUILD_DIR [--list | NAME ...]}
shift
rounds=${REPETITIONS:-3}
refuse() { echo "performance_test: $1" >&2; exit 2; }

known=()
for program in "$build"/bench/*; do
  # What others run: bench_remote.sh.
  [[ -f $program && -x $program && $program != */remote_connect ]] && known+=("$(basename "$program")")
done
[[ -x $build/shares/share_load ]] && known+=(shares latency)
[[ ${#known[@]} -gt 0 ]] || refuse "no benchmarks in $build; run 'make', or set BUILD_DIR"
for name in "$@"; do
  [[ $name != --list ]] || { printf '%s\n' "${known[@]}"; exit 0; }
  [[ $name != -* ]] || refuse "unknown option '$name'; see 'performance_test --help'"
  [[ " ${known[*]} " == *" $name "* ]] || refuse "no benchmark is named '$name'; --list names them"
done
[[ $# -gt 0 ]] || set -- "${known[@]}"

of_tenants=(--bin bin --load "$build/shares/share_load" --rounds "$rounds")
measure() {
  local program=$build/bench/$1
  case $1 in
    shares) python3 bench/shares/shares.py "${of_tenants[@]}" --bare-turns "$build/shares/bare_turns" ;;
    latency) python3 bench/shares/latency.py "${of_tenants[@]}" ;;
    bench_guest) bench/bench_guest.sh "$build" ;;
    bench_pool) "$program" --rounds "$rounds" "$PWD/lib/softgpu/libcuda.so.1" ;;
    bench_swap) "$program" --rounds "$((3 * rounds))" --directory "${TMPDIR:-/tmp}" ;;
    bench_neighbour)
      # Two GPUs of its own.
      (state=$(mktemp -d) && trap 'rm -rf "$state"' EXIT &&
        SOFTGPU_DEVICES=2 SOFTGPU_STATE_DIR=$state "$program" --rounds "$((3 * rounds))" "$PWD/lib/softgpu/libcuda.so.1") ;;
    bench_page_codec) "$program" --rounds "$rounds" ;;
    bench_reclaim | bench_compute_broker | bench_counters | bench_transport) "$program" ;;
    bench_remote) bench/bench_remote.sh "$build" ;;
    remote_loop) bench/bench_remote_rtt.sh "$build" ;;
    tcp_ping) bench/bench_remote_link.sh "$build" ;;
    bench_monitoring) "$program" scrape bin/tesserad && "$program" sampling bin/tesserad ;;
    device_busy) python3 bench/truth/truth.py --bin bin --program "$build/programs/driver_timed" --busy "$program" ;;
    bench_kernels) LD_LIBRARY_PATH=$PWD/lib/softgpu "$program" ;;
    *) python3 bench/ratios.py "$program" --repetitions "$rounds" ;;
  esac
}

trap 'exit 130' INT  # also where what runs has an end of its own for it
summary=()
failed=0
for name in "$@"; do
  echo "== $name"
  began=$SECONDS
  verdict=ok
  measure "$name" || { verdict=FAILED; failed=1; }
  summary+=("$(printf '%-24s %-6s %5d s' "$name" $verdict $((SECONDS - began)))")
done
echo "== summary"
printf '%s\n' "${summary[@]}"
exit $failed
