#!/usr/bin/env python3
"""What sharing of copies costs who is alone, and what two tenants with weights of 3 : 1 get.

usage: copies.py --bin BIN --lib LIB --copier PROGRAM [--threads 2] [--seconds 2] [--rounds 5] [--json FILE]

PROGRAM is tests/programs' driver_copy_shares. In each round, in turns: the program on the software GPU alone, without tessera; as a
tenant on which nobody has an eye; as one of two tenants with weights while the other rests; both together. Medians of rates to the
GPU, and of their ratios to the bare one of the same round.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile
import time


class Copier:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{command} does not begin")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def rate(self):
        """MB/s to the GPU."""
        out, _ = self.process.communicate("\n")
        found = re.search(r"copied ([0-9.]+) MB/s", out)
        if self.process.returncode != 0 or not found:
            raise SystemExit(f"a tenant failed: {out}")
        return float(found[1])


def rates(arguments, tenants, resting=()):
    for tenant in tenants:
        tenant.go()
    time.sleep(arguments.seconds)
    for tenant in tenants:  # all end before what any of them copied is asked
        tenant.process.stdin.write("\n")
        tenant.process.stdin.flush()
    found = [tenant.rate() for tenant in tenants]
    for tenant in resting:
        tenant.go()
        tenant.rate()
    return found


def measure(arguments, environment):
    def tenant(*options):
        return Copier([os.path.join(arguments.bin, "tessera"), "run", "--mem", "256MiB", *options, "--", arguments.copier,
                       str(arguments.threads)], environment)

    bare_environment = dict(environment, LD_LIBRARY_PATH=os.path.join(arguments.lib, "softgpu"))
    bare = rates(arguments, [Copier([arguments.copier, str(arguments.threads)], bare_environment)])[0]
    unseen = rates(arguments, [tenant()])[0]
    seen = rates(arguments, [tenant("--mem-weight", "300")], [tenant()])[0]
    heavy, light = rates(arguments, [tenant("--mem-weight", "300"), tenant()])
    return {"bare": bare, "tenant": unseen, "watched": seen, "heavy": heavy, "light": light, "both": heavy + light}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--lib", required=True)
    parser.add_argument("--copier", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    arguments.bin, arguments.lib, arguments.copier = map(os.path.abspath, (arguments.bin, arguments.lib, arguments.copier))
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, SOFTGPU_STATE_DIR=os.path.join(folder, "gpu"), SOFTGPU_SMS="1", SOFTGPU_DEVICES="1",
                           TESSERA_SOCKET=os.path.join(folder, "socket"), TESSERA_DRIVER="software")
        rounds = [measure(arguments, environment) for _ in range(arguments.rounds)]
    figures = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    ratios = {key: statistics.median(one[key] / one["bare"] for one in rounds) for key in rounds[0]}
    part = statistics.median(one["heavy"] / one["both"] for one in rounds)
    for key, rate in figures.items():
        print(f"{key:8} {rate:9.1f} MB/s, {ratios[key]:.3f} of the bare copies")
    print(f"of the bytes of both the heavier has {100 * part:.1f} % (weights: 75 %)")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"mb_per_s": figures, "ratios": ratios, "heavier_part": part, "rounds": rounds}, file, indent=2)


if __name__ == "__main__":
    main()
