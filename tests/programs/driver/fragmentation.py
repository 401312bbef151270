#!/usr/bin/env python3
"""A device that is nine tenths full of blocks of all sizes refuses nothing for lying in pieces: by Tessera's pool, which is behind cuMemAlloc where
memory is overcommitted, and by the driver's own allocator elsewhere.

usage: fragmentation.py BIN_DIR PROGRAM [REQUESTS]    (driver_fragmentation)
"""
import os
import sys

import asked

DEVICE = 4096  # MiB; little of it is ever touched


def main():
    bin_dir, program = sys.argv[1:3]
    requests = sys.argv[3] if len(sys.argv) > 3 else "3000"
    tessera = os.path.join(bin_dir, "tessera")
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE}MiB"):
        for name, options in (("the pool", ["--overcommit", "2"]), ("the driver", [])):
            with asked.running_daemon(bin_dir, *options):
                print(name + ":", asked.call(tessera, "run", "--", program, requests).strip())
    print("PASS")


if __name__ == "__main__":
    main()
