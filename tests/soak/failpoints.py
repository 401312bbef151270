#!/usr/bin/env python3
"""Kills a program or the daemon at each failpoint of attaching, granting, giving back and detaching (common/failpoint.h); those of memory
that moves are swap_failpoints.py's.

usage: failpoints.py --bin BIN_DIR --program PROGRAM [--sources SRC_DIR] [--passes 3]

Needs a build with TESSERA_FAILPOINTS. PROGRAM is driver_limit_changes. At each failpoint that the sources name, its 1st to N-th
pass: two programs in one slice take and give back until the victim has died there; a daemon that has died is started again.
Nothing may ever be granted above the limit, the survivors must go on, and at the end nothing may be charged: not in the
ledger, not on the device. A failpoint that no run passes is a failure.
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

import mortal

MIB = 1 << 20
LIMIT_MIB = 64
PATIENCE_S = 20.0
RUNS_ALREADY = 3


def tessera(arguments, *words):
    done = subprocess.run([os.path.join(arguments.bin, "tessera"), *words], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


class Scene:
    def __init__(self, arguments, folder, point):
        self.arguments, self.folder, self.point = arguments, folder, point
        self.dice, self.daemon, self.deaths, self.wrong = random.Random(point), None, 0, []
        self.lock, self.over = threading.RLock(), threading.Event()
        self.start_daemon(point if point.startswith("daemon.") else "")

    def start_daemon(self, point=""):
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        elif self.daemon is not None and self.daemon.poll() == RUNS_ALREADY:
            self.end_daemon()
        self.daemon = mortal.start_daemon(self.arguments.bin, point)

    def keep_alive(self):
        """Programs wait for the daemon that has died under them: it comes back beside the play."""
        while not self.over.wait(0.005):
            with self.lock:
                self.revive()

    def revive(self):
        """Where the daemon has died at its failpoint: starts it again."""
        code = self.daemon.poll()
        if code is not None and code != RUNS_ALREADY:  # `tessera run` starts one where it finds none
            self.deaths += code == -9
            if code != -9:
                self.wrong.append(f"the daemon ended with {code}")
            self.start_daemon()

    def wait_ready(self):
        while tessera(self.arguments, "ps", "--json") is None:
            time.sleep(0.01)

    def open_slice(self):
        path = os.path.join(self.folder, "environment")
        self.holder = subprocess.Popen(
            [os.path.join(self.arguments.bin, "tessera"), "run", "--mem", f"{LIMIT_MIB}MiB", "--", "sh", "-c",
             'env -0 >"$0.new" && mv "$0.new" "$0"; read -r _; exit 0', path], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while not os.path.exists(path):
            if self.holder.poll() is not None:  # the daemon has died while it made the slice
                self.wait_ready()
                return self.open_slice()
            time.sleep(0.01)
        with open(path, "rb") as file:
            self.inside = dict(entry.decode().split("=", 1) for entry in file.read().split(b"\0") if entry)
        return None

    def start_program(self, point=""):
        return subprocess.Popen([self.arguments.program], env=dict(self.inside, TESSERA_FAILPOINT=point), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, program, command):
        """The answer; empty where the program has died."""
        try:
            program.stdin.write(command + "\n")
            program.stdin.flush()
            return program.stdout.readline().strip()
        except BrokenPipeError:
            return ""

    def turn(self, program, held):
        """One take or give; the blocks held, or None where the program has died."""
        mib = self.dice.randint(1, LIMIT_MIB // 2)
        command = "give" if held and self.dice.random() < 0.55 else f"take {mib}"
        answer = self.ask(program, command)
        if answer == "taken":
            return [*held, mib]
        if answer == "given":
            return held[:-1]
        return held if answer == "refused" else None

    def check(self):
        for entry in (tessera(self.arguments, "ps", "--json") or {"slices": []})["slices"]:
            device = entry["devices"][0]
            if device["granted_bytes"] > LIMIT_MIB * MIB:
                self.wrong.append(f"{device['granted_bytes']} bytes granted of {LIMIT_MIB} MiB")

    def play(self):
        reviver = threading.Thread(target=self.keep_alive)
        reviver.start()
        self.wait_ready()
        self.open_slice()
        victim, other = self.start_program(self.point if self.point.startswith("client.") else ""), self.start_program()
        victims, others = [], []
        end = time.monotonic() + PATIENCE_S
        turns_after = 0
        for turn in range(400):
            if victims is not None:
                victims = self.turn(victim, victims)
                if victims is None:
                    self.deaths += victim.wait() == -9
            others = self.turn(other, others)
            if others is None:
                self.wrong.append("the survivor has died")
                break
            if turn % 16 == 0:
                self.check()
            if turn == 60 and not self.deaths:
                self.provoke()
            turns_after += self.deaths > 0
            if turns_after > 10 or time.monotonic() > end:
                break
        self.finish([victim] if victims is not None else [], other, reviver)

    def provoke(self):
        """Attaching again and taking over happen only where the daemon is restarted."""
        with self.lock:
            self.start_daemon(self.point if self.point.startswith("daemon.") else "")
        self.wait_ready()

    def finish(self, victims, other, reviver):
        for program in [*victims, other]:
            try:
                program.stdin.close()
            except BrokenPipeError:
                pass  # it has died
            verdict = program.stdout.read().split()[:1]
            code = program.wait(timeout=60)
            if (verdict, code) != (["PASS"], 0) and not (program in victims and code == -9):
                self.wrong.append(f"a program ended with {code}")
            self.deaths += code == -9
        self.holder.stdin.close()
        self.holder.wait(timeout=60)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            listed, gpus = tessera(self.arguments, "ps", "--json"), tessera(self.arguments, "gpus", "--json")
            if listed is not None and gpus is not None:
                left = sum(d["granted_bytes"] for s in listed["slices"] for d in s["devices"])
                used = sum(g["used_bytes"] for g in gpus["gpus"])
                if (listed["slices"], left, used) == ([], 0, 0):
                    break
            time.sleep(0.02)
        else:
            self.wrong.append(f"left: {listed}, {used} bytes on the device")
        self.over.set()
        reviver.join()
        self.end_daemon()

    def end_daemon(self):
        self.daemon.terminate()
        if self.daemon.wait() == RUNS_ALREADY:
            with open(os.environ["TESSERA_SOCKET"] + ".pid") as file:
                pid = int(file.read())
            os.kill(pid, signal.SIGTERM)
            while os.path.exists(os.environ["TESSERA_SOCKET"]):
                time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--sources", required=True)
    parser.add_argument("--passes", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.pop("TESSERA_SLICE", None)
    failed, deaths = [], collections.Counter()
    points = mortal.failpoints(arguments.sources, lambda name: ".swap." not in name)
    for point in points:
        for number in range(1, arguments.passes + 1):
            with tempfile.TemporaryDirectory() as folder:
                os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"),
                                  SOFTGPU_STATE_DIR=os.path.join(folder, "softgpu"))
                scene = Scene(arguments, folder, f"{point}:{number}")
                scene.play()
            deaths[point] += scene.deaths
            failed += [f"{point}:{number}: {what}" for what in set(scene.wrong)]
    mortal.report(points, deaths, len(points) * arguments.passes, failed)


main()
