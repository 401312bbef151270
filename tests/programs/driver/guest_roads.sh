#!/usr/bin/env bash
# The guest reaches a program by LD_PRELOAD, and by being mounted over the libcuda.so.1 that the program would load. In
# both the program is held to its slice. (LD_LIBRARY_PATH is what `tessera run` itself uses: every run.* test.)
#   guest_roads.sh preload|mount TESSERA LIB_DIR PROGRAM        PROGRAM: driver_memory_limit
# Exit status 77: this machine lets us mount nothing.
set -euo pipefail
road=$1 tessera=$2 libraries=$3 program=$4
limit=$((96 << 20))  # one block of the program, and what its module takes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

in_slice() { "$tessera" run --mem "$limit" -- env "$@" "$program" "$limit"; }

case $road in
  preload) in_slice -u LD_LIBRARY_PATH LD_PRELOAD="$libraries/libcuda.so.1" ;;
  mount)
    as_root=(unshare --mount)
    [[ $(id -u) -eq 0 ]] || as_root=(unshare --map-root-user --mount)
    "${as_root[@]}" true || exit 77
    cp "$libraries/softgpu/libcuda.so.1" "$work/libcuda.so.1"
    export TESSERA_DRIVER=$libraries/softgpu/libcuda.so.1
    export -f in_slice
    export tessera program limit work libraries
    "${as_root[@]}" bash -euc 'mount --bind "$libraries/libcuda.so.1" "$work/libcuda.so.1"
                               in_slice LD_LIBRARY_PATH="$work"'
    ;;
  *) echo "guest_roads.sh: preload or mount, not '$road'" >&2; exit 2 ;;
esac
