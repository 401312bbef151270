#!/usr/bin/env python3
"""What the driver says of the memory of a slice's processes is that slice's own, and as much as they report, while they hold memory.

usage: held_memory.py BIN_DIR PROGRAM    (PROGRAM: driver_limit_changes, which takes and gives memory as lines on its standard input say)

Two programs hold different amounts at the same time, so that a figure that is nobody's or the other's does not pass.
"""
import os
import re
import sys

import asked
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
MIB = 1 << 20
PATIENCE = 30  # seconds; the driver is asked as long as somebody asks, and what it says is at most 5 s old
MOST_BESIDE = 16 * MIB  # contexts and code of a program with one small kernel


def metrics():
    text = asked.call(TESSERA, "metrics")
    found = re.findall(r'^tessera_slice_memory_driver_bytes\{slice="([a-z]+)",gpu="0"\} (\S+)$', text, re.MULTILINE)
    return {name: float(number) for name, number in found}


def told_bytes():
    return {name: device["driver_bytes"] for name, device in asked.devices(TESSERA).items()}


def seen_bytes(program):
    """What the program finds in use, by cuMemGetInfo."""
    free, total = (int(number) for number in program.ask("show").split())
    return total - free


def check(programs, held, what):
    """`held` in bytes; the figure follows what the programs hold, each slice's its own."""
    seen = {name: seen_bytes(program) for name, program in programs.items()}
    for name, count in held.items():
        require(count <= seen[name] <= count + MOST_BESIDE, f"{what}, {name}: {count} bytes are held, {seen[name]} in use")
    asked.wait_until(lambda: told_bytes() == seen, PATIENCE, lambda: f"{what}: in use {seen}, the driver's figure {told_bytes()}")
    for name, device in asked.devices(TESSERA).items():
        require(device["used_bytes"] == seen[name], f"{what}, {name}: reported {device['used_bytes']}, in use {seen[name]}")
    require(metrics() == seen, f"{what}: in use {seen}, metrics {metrics()}")


def main():
    with asked.own_node(SOFTGPU_SMS="2"):
        with asked.running_daemon(BIN):
            programs = {name: asked.Program(TESSERA, "run", "--name", name, "--mem", "512MiB", "--", PROGRAM) for name in ("first", "second")}
            require(programs["first"].ask("take 300") == "taken" and programs["second"].ask("take 100") == "taken", "memory is taken")
            check(programs, {"first": 300 * MIB, "second": 100 * MIB}, "both hold memory")
            require(programs["first"].ask("give") == "given" and programs["second"].ask("take 250") == "taken", "memory changes hands")
            check(programs, {"first": 0, "second": 350 * MIB}, "the other holds more")
            for program in programs.values():
                program.finish()
    print("PASS")


if __name__ == "__main__":
    main()
