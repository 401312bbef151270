#!/usr/bin/env python3
"""Kills a program or the daemon at each failpoint of memory that moves: out of a GPU, back to it, and within it.

usage: swap_failpoints.py --bin BIN_DIR --program PROGRAM --sources SRC_DIR [--runs 1000] [--jobs N] [--minutes N] [--seed 1]

Needs a build with TESSERA_FAILPOINTS. PROGRAM is driver_larger_together, which knows each byte of its memory at any time. Three of them
need twice the GPU; one, or the daemon, dies at the failpoint; a daemon that has died is started again. The others must end well, and at
the end nothing may be charged: not in the ledger, not on the device. A failpoint at which nobody dies in any run is a failure.
With --jobs so many runs go on at a time, each with a daemon and a GPU of its own. After a SIGTERM no further
run begins.
"""
import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "driver"))
import asked  # noqa: E402
import mortal  # noqa: E402

# As little as reaches all failpoints: a run is to take little time.
DEVICE_MIB, TENANTS, MIB, ROUNDS = 80, 3, 64, 1
PATIENCE_S = 300.0  # far beyond what a run takes where processors are busy: then it hangs
LENT_S = 15.0  # for something to have gone to the neighbour
MOST_PASSES = 6  # before the failpoint kills
# Each way of keeping what is off the GPU has steps of its own.
NEIGHBOUR = ["--swap-neighbour", "always"]
WAYS = [[], ["--swap-codec", "adaptive"], ["--swap-codec", "lz4", "--swap-encrypt"], ["--swap-host", "64MiB", "--swap-dir", "."], NEIGHBOUR]


class Run:
    def __init__(self, arguments, folder, point, way):
        self.arguments, self.point = arguments, point
        self.has_neighbour = way == NEIGHBOUR
        self.options = ["--overcommit", "3", *[folder if word == "." else word for word in way]]
        self.deaths, self.wrong, self.over = 0, [], threading.Event()
        self.said = tempfile.TemporaryFile()

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

    def start_tenant(self, number, point="", on=0):
        return subprocess.Popen([os.path.join(self.arguments.bin, "tessera"), "run", "--name", f"t{number}", "--gpu", str(on), "--mem", f"{MIB + 8}MiB", "--",
                                 self.arguments.program, str(MIB), str(ROUNDS), str(number), "fresh"],
                                env=dict(os.environ, TESSERA_FAILPOINT=point), stdout=subprocess.PIPE, stderr=self.said, text=True)

    def all_said(self):
        self.said.seek(0)
        return self.said.read()[-4096:].decode(errors="replace")

    def finish(self, tenant, may_die):
        try:
            out, _ = tenant.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            shown = self.shown()
            tenant.kill()
            self.wrong.append(f"a program hangs after {tenant.communicate()[0].splitlines()[-1:]}: {shown}")
            return
        died = tenant.returncode in (-9, 137)
        self.deaths += died
        if not died or not may_die:
            last = out.splitlines()[-1:] or [""]
            if tenant.returncode != 0 or not last[0].startswith("PASS"):
                self.wrong.append(f"a program ended with {tenant.returncode}: {last[0]} (all of them said: {self.all_said()})")

    def shown(self):
        try:
            return asked.slices(os.path.join(self.arguments.bin, "tessera"))
        except SystemExit as gone:
            return f"no daemon: {gone}"

    def is_empty(self):
        tessera = os.path.join(self.arguments.bin, "tessera")
        try:
            return not asked.slices(tessera) and asked.used_bytes(tessera) == 0
        except SystemExit:  # no daemon this moment
            return False

    def wait_for_lent(self):
        tessera, deadline = os.path.join(self.arguments.bin, "tessera"), time.monotonic() + LENT_S
        while time.monotonic() < deadline:
            try:
                if asked.shown(tessera, "gpus")["gpus"][1].get("lent_bytes", 0) > 0:
                    return
            except SystemExit:  # no daemon this moment
                pass
            time.sleep(0.02)

    def play(self):
        self.start_daemon(self.point if self.point.startswith("daemon.") else "")
        reviver = threading.Thread(target=self.keep_alive)
        reviver.start()
        victim = self.point if self.point.startswith("client.") else ""
        tenants = [self.start_tenant(number, victim if number == 0 else "") for number in range(TENANTS)]
        if self.has_neighbour:  # whose own want it back once something is there
            self.wait_for_lent()
            tenants.append(self.start_tenant(TENANTS, on=1))
        for number, tenant in enumerate(tenants):
            self.finish(tenant, may_die=number == 0 and victim != "")
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_empty() and time.monotonic() < deadline:
            time.sleep(0.02)
        if not self.is_empty():
            self.wrong.append(f"something is left in the ledger or on the device: {self.shown()}")
        self.over.set()
        reviver.join()
        self.daemon.terminate()
        self.daemon.wait()


def play_some(arguments, points, first, step):
    """Every `step`-th run from the `first` one on."""
    deaths, failed, runs = collections.Counter(), [], 0
    asked_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
    end = time.monotonic() + 60 * arguments.minutes
    for number in range(first, arguments.runs, step):
        dice = random.Random(f"{arguments.seed} {number}")
        point, way = points[number % len(points)], WAYS[number // len(points) % len(WAYS)]
        if ".neighbour." in point:
            way = NEIGHBOUR
        passes = 1 + dice.randrange(2) * dice.randrange(MOST_PASSES)  # not all runs pass a point often
        with asked.own_node(SOFTGPU_DEVICES="2" if way == NEIGHBOUR else "1", SOFTGPU_MEMORY=f"{DEVICE_MIB}MiB") as folder:
            run = Run(arguments, folder, f"{point}:{passes}", way)
            run.play()
        deaths[point] += run.deaths
        failed += [f"{number} {point}:{passes} {' '.join(way)}: {what}" for what in set(run.wrong)]
        runs += 1
        if len(failed) > 20 or time.monotonic() > end or asked_to_end.is_set():
            break
    return deaths, failed, runs


def play_side_by_side(arguments):
    """The same in processes of their own: a run has its node in its environment."""
    words = [sys.executable, *sys.argv]
    parts = [subprocess.Popen([*words, "--part", str(part)], stdout=subprocess.PIPE, text=True) for part in range(arguments.jobs)]
    signal.signal(signal.SIGTERM, lambda *_: [part.terminate() for part in parts])
    deaths, failed, runs = collections.Counter(), [], 0
    for number, part in enumerate(parts):
        out, _ = part.communicate()
        try:
            found = json.loads(out.splitlines()[-1])
        except (IndexError, ValueError):
            failed.append(f"part {number} ended with {part.returncode}: {out}")
            continue
        deaths.update(found["deaths"])
        failed += found["failed"]
        runs += found["runs"]
    return deaths, failed, runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--sources", required=True)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="then no further run begins")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--point", action="append")
    arguments = parser.parse_args()
    points = arguments.point or mortal.failpoints(arguments.sources, lambda name: ".swap." in name)
    if arguments.part is not None:
        deaths, failed, runs = play_some(arguments, points, arguments.part, arguments.jobs)
        print(json.dumps({"deaths": deaths, "failed": failed, "runs": runs}))
        return
    deaths, failed, runs = play_side_by_side(arguments) if arguments.jobs > 1 else play_some(arguments, points, 0, 1)
    mortal.report(points, deaths, runs, failed)


main()
