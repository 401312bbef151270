#!/usr/bin/env python3
"""What handing a GPU from one slice to another takes is measured while two take turns, and shown.

usage: switch_cost.py BIN_DIR PROGRAM    (PROGRAM: share_load, which keeps the GPU busy without gaps)

With a daemon and a software GPU of its own.
"""
import contextlib
import os
import signal
import subprocess
import sys

import asked
from asked import require

PATIENCE = 60  # s, on whatever machine
LEAST_NS, MOST_NS = 20_000, 500_000  # what is told lies within (scheduling/switch_cost.h)


@contextlib.contextmanager
def working(tessera, program, name):
    command = [tessera, "run", "--name", name, "--mem", "64MiB", "--sm-mode", "time", "--", program, "--seconds", "600", "--steps",
               "20000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as tenant:
        try:
            yield
            require(tenant.poll() is None, f"{name} still works")
        finally:
            tenant.send_signal(signal.SIGTERM)


def main():
    bin_dir, program = sys.argv[1:]
    tessera = os.path.join(bin_dir, "tessera")

    def switch_ns():
        (gpu,) = asked.shown(tessera, "gpus")["gpus"]
        return gpu["switch_ns"]

    with asked.own_node(SOFTGPU_SMS="2", SOFTGPU_DEVICES="1", SOFTGPU_MEMORY="1GiB"), asked.running_daemon(bin_dir):
        with working(tessera, program, "first"):
            asked.wait_until(lambda: "first" in asked.slices(tessera), PATIENCE, lambda: "the first one works")
            require(switch_ns() is None, "nothing is told where nobody takes turns")
            with working(tessera, program, "second"):
                asked.wait_until(switch_ns, PATIENCE, lambda: f"it is measured: {asked.slices(tessera)}")
                told_ns = switch_ns()
                require(LEAST_NS <= told_ns <= MOST_NS, f"{told_ns} ns is a time that handing over takes")
    print(f"handing over takes {told_ns / 1e3:.0f} us")
    print("PASS")


main()
