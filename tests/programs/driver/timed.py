#!/usr/bin/env python3
"""Every kernel of a program is timed and counted, to the last one before it ends, and its histogram holds each once.

usage: timed.py BIN_DIR PROGRAM    (PROGRAM: driver_timed, which runs "KERNELS STEPS" for each line that it is asked)

How near GPU time is to what a program measures itself bench/truth/truth.py says: time decides nothing here.
"""
import os
import sys

import asked
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
SHORT, LONG = 7, 3


def check_times(device, kernels, what):
    require(device["kernels"] == kernels and device["timed_kernels"] == kernels, f"{what}: {device['kernels']} kernels, {device['timed_kernels']} timed, not {kernels}")
    require(sum(device["timed_kernel_buckets"]) == kernels, f"{what}: {device['timed_kernel_buckets']}")
    require(0 < device["timed_kernel_ns"] and 0 < device["gpu_seconds"], f"{what}: {device}")


def check_histogram(text, kernels):
    label = 'slice="first",gpu="0"'
    count = f"tessera_slice_kernel_run_seconds_count{{{label}}} {kernels}\n"
    require(count in text and f'tessera_slice_kernel_run_seconds_bucket{{{label},le="+Inf"}} {kernels}\n' in text, text)


def main():
    with asked.own_node(SOFTGPU_SMS="2"):
        with asked.running_daemon(BIN):
            asked.call(TESSERA, "slice", "create", "first", "--mem", "64MiB")
            program = asked.Program(TESSERA, "run", "--slice", "first", "--", PROGRAM, "ask")
            program.ask(f"{SHORT} 100")
            asked.wait_until(lambda: asked.devices(TESSERA)["first"]["timed_kernels"] == SHORT, 20, lambda: f"{asked.devices(TESSERA)}")
            check_times(asked.devices(TESSERA)["first"], SHORT, "while it runs")
            # A program that ends at once tells its last kernels all the same.
            program.ask(f"{LONG} 50000")
            program.finish()
            asked.wait_until(lambda: not asked.slices(TESSERA)["first"]["processes"], 20, lambda: f"{asked.ps(TESSERA)}")
            device = asked.devices(TESSERA)["first"]
            check_times(device, SHORT + LONG, "after its end")
            check_histogram(asked.call(TESSERA, "metrics"), SHORT + LONG)
            asked.call(TESSERA, "slice", "delete", "first")
    print("PASS")


if __name__ == "__main__":
    main()
