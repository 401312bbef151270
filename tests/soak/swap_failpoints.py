#!/usr/bin/env python3
"""Kills a program or the daemon at each failpoint of memory that moves: out of a GPU, back to it, and within it.

usage: swap_failpoints.py --bin BIN_DIR --program PROGRAM --sources SRC_DIR [--runs 1000] [--minutes N] [--seed 1]

Needs a build with TESSERA_FAILPOINTS. PROGRAM is driver_larger_together, which knows each byte of its memory at any time. Three of them
need twice the GPU; one, or the daemon, dies at the failpoint; a daemon that has died is started again. The others must end well, and at
the end nothing may be charged: not in the ledger, not on the device. A failpoint at which nobody dies in any run is a failure.
"""
import argparse
import collections
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "driver"))
import asked  # noqa: E402
import mortal  # noqa: E402

DEVICE_MIB, TENANTS, MIB, ROUNDS = 96, 3, 56, 2
PATIENCE_S = 60.0
MOST_PASSES = 6  # before the failpoint kills
# Each way of keeping what is off the GPU has steps of its own.
WAYS = [[], ["--swap-codec", "adaptive"], ["--swap-codec", "lz4", "--swap-encrypt"], ["--swap-host", "64MiB", "--swap-dir", "."]]


class Run:
    def __init__(self, arguments, folder, point, way):
        self.arguments, self.point = arguments, point
        self.options = ["--overcommit", "3", *[folder if word == "." else word for word in way]]
        self.deaths, self.wrong, self.over = 0, [], threading.Event()

    def start_daemon(self, point=""):
        self.daemon = mortal.start_daemon(self.arguments.bin, point, *self.options)
        deadline = time.monotonic() + PATIENCE_S
        while not asked.listens() and self.daemon.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)

    def keep_alive(self):
        while not self.over.wait(0.005):
            code = self.daemon.poll()
            if code is None:
                continue
            self.deaths += code == -9
            if code != -9:
                self.wrong.append(f"the daemon ended with {code}")
            self.start_daemon()

    def start_tenant(self, number, point=""):
        return subprocess.Popen([os.path.join(self.arguments.bin, "tessera"), "run", "--name", f"t{number}", "--mem", f"{MIB + 8}MiB", "--",
                                 self.arguments.program, str(MIB), str(ROUNDS), str(number), "fresh"],
                                env=dict(os.environ, TESSERA_FAILPOINT=point), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def finish(self, tenant, may_die):
        try:
            out, _ = tenant.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            tenant.kill()
            self.wrong.append(f"a program hangs after {tenant.communicate()[0].splitlines()[-1:]}")
            return
        died = tenant.returncode in (-9, 137)
        self.deaths += died
        if not died or not may_die:
            last = out.splitlines()[-1:] or [""]
            if tenant.returncode != 0 or not last[0].startswith("PASS"):
                self.wrong.append(f"a program ended with {tenant.returncode}: {last[0]}")

    def is_empty(self):
        tessera = os.path.join(self.arguments.bin, "tessera")
        try:
            return not asked.slices(tessera) and asked.used_bytes(tessera) == 0
        except SystemExit:  # no daemon this moment
            return False

    def play(self):
        self.start_daemon(self.point if self.point.startswith("daemon.") else "")
        reviver = threading.Thread(target=self.keep_alive)
        reviver.start()
        victim = self.point if self.point.startswith("client.") else ""
        tenants = [self.start_tenant(number, victim if number == 0 else "") for number in range(TENANTS)]
        for number, tenant in enumerate(tenants):
            self.finish(tenant, may_die=number == 0 and victim != "")
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_empty() and time.monotonic() < deadline:
            time.sleep(0.02)
        if not self.is_empty():
            self.wrong.append("something is left in the ledger or on the device")
        self.over.set()
        reviver.join()
        self.daemon.terminate()
        self.daemon.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--sources", required=True)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="then no further run begins")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--point", action="append")
    arguments = parser.parse_args()
    points = arguments.point or mortal.failpoints(arguments.sources, lambda name: ".swap." in name)
    dice, deaths, failed = random.Random(arguments.seed), collections.Counter(), []
    end, runs = time.monotonic() + 60 * arguments.minutes, 0
    for number in range(arguments.runs):
        point, way = points[number % len(points)], WAYS[number // len(points) % len(WAYS)]
        passes = 1 + dice.randrange(MOST_PASSES if number >= len(points) else 1)
        with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE_MIB}MiB") as folder:
            run = Run(arguments, folder, f"{point}:{passes}", way)
            run.play()
        deaths[point] += run.deaths
        failed += [f"{point}:{passes} {' '.join(way)}: {what}" for what in set(run.wrong)]
        runs += 1
        if len(failed) > 20 or time.monotonic() > end:
            break
    mortal.report(points, deaths, runs, failed)


main()
