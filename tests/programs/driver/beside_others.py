#!/usr/bin/env python3
"""What programs have of an overcommitted GPU that another needs: what cannot leave it is waited for a while, and then that is said; what is not in use
is given without anything being moved.

usage: beside_others.py BIN_DIR PROGRAM    (driver_beside_others)
"""
import json
import os
import subprocess
import sys

import asked
from asked import require

DEVICE, HELD, WANTED, ROUND_S = 96, 64, 48, 1  # MiB, and s
PATIENCE = 120  # s
OUT_OF_MEMORY, SUCCESS = 2, 0


def run(tessera, *words, options=(), **pipes):
    return subprocess.Popen([tessera, "run", "--mem", "80MiB", *options, "--", *words], text=True, stdout=subprocess.PIPE, **pipes)


def ask(tessera, program, mib):
    """What came of it, and what was said about it."""
    asking = run(tessera, program, "ask", str(mib), stderr=subprocess.PIPE)
    out, said = asking.communicate(timeout=PATIENCE)
    require(asking.returncode == 0, f"{asking.returncode} {out} {said}")
    return int(out.rsplit(":", 1)[1]), said


def check_unused(tessera, program, folder):
    summary = os.path.join(folder, "free.json")
    keeper = run(tessera, program, "free", str(HELD), options=("--json-summary", summary), stdin=subprocess.PIPE)
    require(keeper.stdout.readline() == "held\n", "it has freed most of its memory")
    result, said = ask(tessera, program, HELD)
    require(result == SUCCESS, f"what another one has freed is there: {result} {said}")
    keeper.stdin.close()
    require(keeper.wait(PATIENCE) == 0, "what it has kept is as it was")
    with open(summary, encoding="utf-8") as file:
        moved = json.load(file)["devices"][0]["evicted_bytes"]
    require(moved == 0, f"{moved} bytes were moved for that")


def check_immovable(tessera, program):
    holder = run(tessera, program, "hold", str(HELD), stdin=subprocess.PIPE)
    require(holder.stdout.readline() == "held\n", "it holds its memory")
    result, said = ask(tessera, program, WANTED)
    require(result == OUT_OF_MEMORY and "has not left it for long" in said, f"it is refused, and told why: {result} {said}")
    require(ask(tessera, program, 8)[0] == SUCCESS, "what fits beside it is there at once")
    holder.stdin.close()
    require(holder.wait(PATIENCE) == 0, "the holder ends well")
    result, said = ask(tessera, program, WANTED)
    require(result == SUCCESS, f"it is free: {result} {said}")


def main():
    bin_dir, program = sys.argv[1:3]
    tessera = os.path.join(bin_dir, "tessera")
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE}MiB") as folder:
        with asked.running_daemon(bin_dir, "--overcommit", "3", "--residence-round", str(ROUND_S)):
            check_unused(tessera, program, folder)
            check_immovable(tessera, program)
    print("PASS")


if __name__ == "__main__":
    main()
