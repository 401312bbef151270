#!/usr/bin/env bash
# Measures what is promised about sharing a GPU and writes a report with tables and plots; takes about 15 minutes.
#   bench_report.sh BUILD_DIR [bench_report.py's options, as --only recovery, --rounds 1]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench_report.sh BUILD_DIR [OPTION ...]}
shift
scripts/install_dependencies.sh report
# The system's own Python: the one that the package above is for.
exec /usr/bin/python3 bench/report/bench_report.py --bin bin --build "$build" --out build/report "$@"
