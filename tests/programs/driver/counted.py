#!/usr/bin/env python3
"""What the daemon tells of launches and copies is what a program counted for itself, exactly, while it runs and after it.

usage: counted.py BIN_DIR PROGRAM    (PROGRAM: driver_counted, which does a round and tells its counts for each line that it is asked)
"""
import os
import sys

import asked
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
ROUNDS = {"first": 1, "second": 4}


def counts_of(text):
    return {name: int(number) for name, number in (pair.split("=") for pair in text.split(","))}


def check(told, what):
    devices = asked.devices(TESSERA)
    for name, counts in told.items():
        require(set(counts) == {"launches", "graph_launches", "cooperative_launches", "bytes_to_device", "bytes_from_device",
                                "bytes_on_device", "errors"}, f"{name}: {counts}")
        for figure, number in counts.items():
            require(devices[name][figure] == number, f"{what}, {name}: {figure} is {devices[name][figure]}, not {number}")
        buckets = devices[name]["gate_wait_buckets"]
        require(sum(buckets) <= devices[name]["gate_waits"], f"{devices[name]}")


def wait_for_exit(told):
    asked.wait_until(lambda: not any(entry["processes"] for entry in asked.slices(TESSERA).values()), 20, lambda: f"{asked.ps(TESSERA)}")
    check(told, "after its end")


def run_round():
    """Slices that stay, so that their figures can be asked for when the programs are gone."""
    with asked.running_daemon(BIN):
        for name in ROUNDS:
            asked.call(TESSERA, "slice", "create", name, "--mem", "64MiB")
        programs = {name: asked.Program(TESSERA, "run", "--slice", name, "--", PROGRAM, "ask") for name in ROUNDS}
        told = {}
        for name, rounds in ROUNDS.items():
            for _ in range(rounds):
                told[name] = counts_of(programs[name].ask(""))
        check(told, "while they run")
        for program in programs.values():
            program.finish()
        wait_for_exit(told)
        again = asked.Program(TESSERA, "run", "--slice", "first", "--", PROGRAM, "ask")
        more = counts_of(again.ask(""))
        told["first"] = {figure: number + more[figure] for figure, number in told["first"].items()}
        check(told, "of two processes")
        again.finish()
        wait_for_exit(told)
        for name in ROUNDS:
            asked.call(TESSERA, "slice", "delete", name)


def main():
    with asked.own_node(SOFTGPU_SMS="2"):
        run_round()
        # The same on a driver that cannot hold kernels up: launches pass the gate one by one.
        os.environ["SOFTGPU_OWN_TABLES"] = "off"
        run_round()
    print("PASS")


if __name__ == "__main__":
    main()
