#!/usr/bin/env bash
# Runs every CTest of a build but the soak's.
#   test.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/own_runtime.sh
ctest --test-dir "${1:?usage: test.sh BUILD_DIR}" --output-on-failure -j "$(nproc)" -LE soak
