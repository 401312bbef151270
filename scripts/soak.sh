#!/usr/bin/env bash
# The long forms: a thousand kills, long fuzzing, a cluster of 10,000 GPUs, everything CTest labels "soak".
#   soak.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/own_runtime.sh
ctest --test-dir "${1:?usage: soak.sh BUILD_DIR}" --output-on-failure -L soak
