#!/usr/bin/env bash
# Runs every benchmark of the build, one after the other. Each prints its own floor beside its figures: compare within one
# run, not across machines.
#   bench.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
for program in "${1:?usage: bench.sh BUILD_DIR}"/bench/*; do
  echo "== $(basename "$program")"
  "$program" --benchmark_repetitions="${REPETITIONS:-3}" --benchmark_report_aggregates_only=true
done
