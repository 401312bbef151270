#!/usr/bin/env bash
# The checks that need an NVIDIA GPU and its driver: every test program on the bare driver and under `tessera run`, and the
# demo on the card. Prints one line per check; exit code 1 if any failed, 77 where there is no NVIDIA driver.
#   gpu_check.sh        PROGRAMS=build/main/programs for another build
set -uo pipefail
cd "$(dirname "$0")/.."
programs=${PROGRAMS:-build/main/programs}
if ! bin/tessera gpus --json | grep -q '"driver_kind": *"nvidia"'; then
  echo "no NVIDIA driver found ('bin/tessera doctor' tells what was tried): nothing was checked" >&2
  exit 77
fi
failed=0
check() { # check LABEL COMMAND...
  local label=$1 output status
  shift
  output=$("$@" 2>&1)
  status=$?
  case $status in
    0) echo "ok    $label" ;;
    77) echo "skip  $label" ;;
    *) echo "FAIL  $label (exit code $status)"; sed 's/^/      /' <<<"$output"; failed=1 ;;
  esac
}
for program in "$programs"/*; do
  [[ -f $program && -x $program ]] || continue
  name=$(basename "$program")
  check "direct.$name" "$program"
  check "run.$name" bin/tessera run --gpu 0 --mem 2GiB -- "$program"
done
check demo scripts/demo.sh
exit $failed
