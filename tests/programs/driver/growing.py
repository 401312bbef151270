#!/usr/bin/env python3
"""So many programs grow at once that what each of them has had so far is all that the GPU has: none waits for what the others wait for, too.

usage: growing.py BIN_DIR PROGRAM    (driver_larger_together)
"""
import os
import subprocess
import sys

import asked
from asked import require

DEVICE, MIB, OVERHEAD, TENANTS = 96, 60, 12, 11
PATIENCE = 240  # s; all together take a few


def main():
    bin_dir, program = sys.argv[1:3]
    tessera = os.path.join(bin_dir, "tessera")
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE}MiB"), asked.running_daemon(bin_dir, "--overcommit", "9"):
        programs = [
            subprocess.Popen([tessera, "run", "--name", f"t{number}", "--mem", f"{MIB + OVERHEAD}MiB", "--", program, str(MIB), "1", str(number)],
                             stdout=subprocess.DEVNULL) for number in range(TENANTS)
        ]
        try:
            for running in programs:
                require(running.wait(PATIENCE) == 0, f"a program ends with {running.returncode}")
        except subprocess.TimeoutExpired:
            require(False, f"nobody ends: {asked.ps(tessera)}")
        finally:
            for running in programs:
                running.kill()
    print("PASS")


if __name__ == "__main__":
    main()
