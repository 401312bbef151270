#!/usr/bin/env python3
"""Of what a slice is guaranteed of an overcommitted GPU nothing leaves it while others take turns beside it; what could never be kept is refused
when it is asked for; waits for memory are counted and told of.

usage: memory_qos.py BIN_DIR PROGRAM    (driver_larger_together)
"""
import json
import os
import subprocess
import sys

import asked
from asked import require

DEVICE, KEPT, LARGE, OVERHEAD = 96, 16, 44, 12  # MiB
PATIENCE = 300  # s


def run_options(name, mib, *options):
    return ["run", "--name", name, "--mem", f"{mib + OVERHEAD}MiB", *options]


class Tenant:
    def __init__(self, arguments, folder, name, mib, *options):
        self.summary = os.path.join(folder, name + ".json")
        self.process = subprocess.Popen([arguments.tessera, *run_options(name, mib, *options), "--json-summary", self.summary, "--",
                                         arguments.program, str(mib), "4"], stdout=subprocess.PIPE, text=True)

    def finish(self):
        out, _ = self.process.communicate(timeout=PATIENCE)
        require(self.process.returncode == 0 and out.splitlines()[-1].startswith("PASS"), f"{self.process.returncode} {out}")
        with open(self.summary, encoding="utf-8") as file:
            return json.load(file)["devices"][0]


def refused(arguments, *words):
    out = subprocess.run([arguments.tessera, *words], capture_output=True, text=True)
    require(out.returncode != 0, f"{words} is not refused")
    return out.stderr


CHANGED = {"min_bytes": 8 << 20, "weight": 50, "copy_min": 1 << 20, "copy_max": 8 << 20}


def check_admission(arguments):
    tessera = arguments.tessera
    asked.call(tessera, "slice", "create", "small", "--mem", "32MiB", "--mem-min", "32MiB", "--mem-weight", "300",
               "--copy-min", "1MiB")
    require(asked.devices(tessera)["small"]["memory"] == {"min_bytes": 32 << 20, "weight": 300, "copy_min": 1 << 20, "copy_max": 0},
            "its terms are shown")
    said = refused(arguments, "slice", "create", "large", "--mem", "80MiB")
    require("could never have its limit of 80MiB" in said, said)
    require("within a limit" in refused(arguments, "set", "small", "--mem-min", "40MiB"), "more than its limit")
    require("set aside" in refused(arguments, "slice", "create", "any", "--mem-min", "1MiB"), "nothing is set aside")
    planned = json.loads(asked.call(tessera, "slice", "plan", "--mem", "60MiB", "--mem-min", "20MiB", "--json"))
    require(planned["placements"][0]["ok"], f"what fits beside it is planned: {planned}")
    for words in (("--mem", "80MiB"), ("--mem", "70MiB", "--mem-min", "70MiB")):
        said = subprocess.run([tessera, "slice", "plan", *words], capture_output=True, text=True).stdout
        require("refused: " in said and "could never have its limit" in said, said)
    asked.call(tessera, "set", "small", "--mem-min", "8MiB", "--mem-weight", "50", "--copy-max", "8MiB")
    require(asked.devices(tessera)["small"]["memory"] == CHANGED, "its terms have changed")
    require("is guaranteed" in refused(arguments, "set", "small", "--copy-min", "16MiB"), "more than its bound")
    asked.call(tessera, "slice", "create", "large", "--mem", "80MiB")
    require("could never" in refused(arguments, "set", "small", "--mem-min", "20MiB"), "what another has would not fit beside it")


def check_restart(arguments, daemon):
    daemon.kill()
    daemon.wait()
    daemon = asked.start_daemon(arguments.bin, "--overcommit", "3")
    require(asked.devices(arguments.tessera)["small"]["memory"] == CHANGED, "its terms outlive the daemon")
    for name in ("small", "large"):
        asked.call(arguments.tessera, "slice", "delete", name)
    return daemon


def check_turns(arguments, folder):
    limit = KEPT + OVERHEAD
    kept = Tenant(arguments, folder, "kept", KEPT, "--mem-min", f"{limit}MiB")
    others = [Tenant(arguments, folder, f"large{i}", LARGE) for i in range(3)]
    figures = kept.finish()
    require(figures["evicted_bytes"] == 0, f"{figures['evicted_bytes']} bytes of what is guaranteed were moved off the GPU")
    moved = [other.finish() for other in others]
    require(sum(each["evicted_bytes"] for each in moved) > 0, "nothing was moved at all")
    require(sum(each["memory_wait_seconds"] for each in moved) > 0, "nobody has waited")
    print(f"guaranteed: {figures['evicted_bytes']} bytes moved; the others: {sum(each['evicted_bytes'] for each in moved) >> 20} MiB, and "
          f"{sum(each['memory_wait_seconds'] for each in moved):.1f} s of waits for memory")


class Arguments:
    def __init__(self, bin_dir, program):
        self.bin, self.program, self.tessera = bin_dir, program, os.path.join(bin_dir, "tessera")


def main():
    arguments = Arguments(*sys.argv[1:3])
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE}MiB") as folder:
        daemon = asked.start_daemon(arguments.bin, "--overcommit", "3")
        try:
            check_admission(arguments)
            daemon = check_restart(arguments, daemon)
            check_turns(arguments, folder)
        finally:
            daemon.terminate()
            daemon.wait()
    print("PASS")


if __name__ == "__main__":
    main()
