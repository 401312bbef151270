#!/usr/bin/env python3
"""Kills the daemon with SIGKILL at random moments while programs allocate and free, and starts it again.

usage: restart_daemon.py --bin BIN_DIR --program PROGRAM [--kills 10] [--seed 1] [--away-s SECONDS]

PROGRAM is driver_limit_changes. Several slices, several programs in each, all made by `tessera run`; each program takes and gives
back blocks as its dice say. All the time the blocks held in a slice must stay within its limit, as the programs count them, as
the ledger does, and as the device itself does for all together. After the last restart every program must get memory again; at
the end everything is given back, every program and `tessera run` has ended well, and nothing is charged. With --away-s the
daemon stays away once for that long, and programs that ask for new budget must be refused, not stuck. Each kill must meet a daemon
that is the one started here, lives, and has programs attached to it.
"""
import argparse
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
LIMIT_MIB = 96
SLICES = 3
PROGRAMS = 3  # in each slice
SETTLE_S = 10.0
ANSWER_LIMIT_S = 30.0  # the client's patience is 5 s, the daemon's another 5; this machine may be loaded


def tessera(arguments, *words):
    done = subprocess.run([os.path.join(arguments.bin, "tessera"), *words], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


class Slice:
    def __init__(self, arguments, folder, number):
        self.name = f"restart-{number}"
        path = os.path.join(folder, self.name)
        self.holder = subprocess.Popen(
            [os.path.join(arguments.bin, "tessera"), "run", "--name", self.name, "--mem", f"{LIMIT_MIB}MiB", "--", "sh", "-c",
             'env -0 >"$0.new" && mv "$0.new" "$0"; read -r _; exit 0', path], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while not os.path.exists(path):
            time.sleep(0.01)
        with open(path, "rb") as file:
            self.environment = dict(entry.decode().split("=", 1) for entry in file.read().split(b"\0") if entry)
        self.lock, self.held_mib, self.most_mib = threading.Lock(), 0, 0

    def change(self, mib):
        with self.lock:
            self.held_mib += mib
            self.most_mib = max(self.most_mib, self.held_mib)


class Program(threading.Thread):
    """One program of a slice. It counts a block as held from the answer on until just before it gives it back: never too much."""

    def __init__(self, arguments, slice_, seed):
        super().__init__(daemon=True)
        self.slice, self.dice, self.ending, self.blocks = slice_, random.Random(seed), threading.Event(), []
        self.taken_at, self.taken, self.refused, self.slowest_s, self.verdict = 0.0, 0, 0, 0.0, "has not ended"
        self.process = subprocess.Popen([arguments.program], env=slice_.environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, command):
        began = time.monotonic()
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        return answer

    def take(self):
        mib = self.dice.randint(1, LIMIT_MIB // 3)
        answer = self.ask(f"take {mib}")
        if answer == "taken":
            self.blocks.append(mib)
            self.slice.change(mib)
            self.taken, self.taken_at = self.taken + 1, time.monotonic()
        elif answer == "refused":
            self.refused += 1
        else:
            raise RuntimeError(f"answered {answer!r}")

    def give(self):
        self.slice.change(-self.blocks.pop())
        if self.ask("give") != "given":
            raise RuntimeError("gave nothing back")

    def run(self):
        try:
            while not self.ending.is_set():
                if self.blocks and self.dice.random() < 0.5:
                    self.give()
                else:
                    self.take()
                time.sleep(self.dice.random() * 0.02)
            while self.blocks:
                self.give()
            self.process.stdin.close()
            self.verdict = self.process.stdout.read().split()[:1] + [self.process.wait(timeout=60)]
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            self.verdict = str(error)


class Daemon:
    def __init__(self, arguments):
        self.arguments, self.process = arguments, None
        self.start()

    def start(self):
        self.process = subprocess.Popen([os.path.join(self.arguments.bin, "tesserad"), "--foreground"],
                                        stderr=subprocess.DEVNULL)

    def kill(self):
        if self.process.poll() is not None:
            sys.exit(f"FAIL the daemon ended by itself with {self.process.returncode}: there is none to kill")
        self.process.kill()
        self.process.wait()

    def wait_ready(self):
        """Until it listens: without one `tessera ps` answers as well, and `tessera run` would start one of its own."""
        while True:
            if self.process.poll() is not None:
                sys.exit(f"FAIL the daemon ended with {self.process.returncode}")
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                if client.connect_ex(os.environ["TESSERA_SOCKET"]) == 0:
                    listener, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                    if listener == self.process.pid:
                        return
                    # A killed daemon's socket lasts as long as a child that it had forked and that has not yet begun its program.
                    if os.path.exists(f"/proc/{listener}"):
                        sys.exit(f"FAIL process {listener} listens, not the daemon {self.process.pid}")
            time.sleep(0.02)


def excesses(arguments, slices):
    """What is held above a limit, in words."""
    found = [f"{s.name}: {s.most_mib} MiB held by its programs" for s in slices if s.most_mib > LIMIT_MIB]
    for entry in (tessera(arguments, "ps", "--json") or {"slices": []})["slices"]:
        device = entry["devices"][0]
        if device["granted_bytes"] > device["limit_bytes"] or device["limit_bytes"] != LIMIT_MIB * MIB:
            found.append(f"{entry['name']}: {device}")
    used = sum(gpu["used_bytes"] for gpu in (tessera(arguments, "gpus", "--json") or {"gpus": []})["gpus"])
    if used > SLICES * LIMIT_MIB * MIB:
        found.append(f"{used} bytes used on the devices")
    return found


def charged(arguments):
    listed, gpus = tessera(arguments, "ps", "--json"), tessera(arguments, "gpus", "--json")
    if listed is None or gpus is None:
        return None
    return (sum(d["granted_bytes"] for s in listed["slices"] for d in s["devices"]), sum(g["used_bytes"] for g in gpus["gpus"]))


def attached(arguments, programs):
    """How many of the programs the daemon serves: waits until there is one."""
    pids = {p.process.pid for p in programs}
    deadline = time.monotonic() + ANSWER_LIMIT_S
    while time.monotonic() < deadline:
        listed = tessera(arguments, "ps", "--json") or {"slices": []}
        found = pids & {process["pid"] for entry in listed["slices"] for process in entry["processes"]}
        if found:
            return len(found)
        time.sleep(0.02)
    return 0


def work(arguments, dice, daemon, slices, programs, met):
    """Kills and restarts; what went wrong. Appends to `met` how many programs each kill cut off."""
    wrong = []
    away_s = [dice.random() * 0.5 for _ in range(arguments.kills)]
    if arguments.away_s:
        away_s[arguments.kills // 2] = arguments.away_s
    for pause_s in away_s:
        time.sleep(0.2 + dice.random() * 0.6)
        met.append(attached(arguments, programs))
        time.sleep(dice.random() * 0.02)  # programs are anywhere when it ends, not just where they were asked for
        daemon.kill()
        time.sleep(pause_s)
        daemon.start()
        if dice.random() < 0.3:
            time.sleep(dice.random() * 0.1)  # killed again while it starts and takes over
            daemon.kill()
            daemon.start()
        daemon.wait_ready()
        wrong += excesses(arguments, slices)
    restarted = time.monotonic()
    deadline = restarted + ANSWER_LIMIT_S
    while any(p.taken_at < restarted for p in programs) and time.monotonic() < deadline:
        time.sleep(0.05)
        wrong += excesses(arguments, slices)
    wrong += [f"a program of {p.slice.name} got nothing after the last restart ({p.verdict})" for p in programs
              if p.taken_at < restarted]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--away-s", type=float, default=0)
    arguments = parser.parse_args()
    dice, met = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=os.path.join(folder, "softgpu"))
        os.environ.pop("TESSERA_SLICE", None)
        daemon = Daemon(arguments)
        try:
            daemon.wait_ready()
            slices = [Slice(arguments, folder, number) for number in range(SLICES)]
            programs = [Program(arguments, s, dice.random()) for s in slices for _ in range(PROGRAMS)]
            for program in programs:
                program.start()
            wrong = work(arguments, dice, daemon, slices, programs, met)
            for program in programs:
                program.ending.set()
            for program in programs:
                program.join(timeout=60)
            wrong += [f"{met.count(0)} kills met no program that was attached"] if 0 in met else []
            wrong += [f"a program of {p.slice.name}: {p.verdict}" for p in programs if p.verdict != ["PASS", 0]]
            wrong += [f"an answer took {p.slowest_s:.1f} s" for p in programs if p.slowest_s > ANSWER_LIMIT_S]
            for s in slices:
                s.holder.stdin.close()
                if s.holder.wait(timeout=60) != 0:
                    wrong.append(f"tessera run of {s.name} ended with {s.holder.returncode}")
            deadline = time.monotonic() + SETTLE_S
            while charged(arguments) != (0, 0) and time.monotonic() < deadline:
                time.sleep(0.05)
            left = charged(arguments)
            listed = tessera(arguments, "ps", "--json")["slices"]
            wrong += [f"slice {entry['name']} is left" for entry in listed]
        finally:
            daemon.process.terminate()
            daemon.process.wait()
        left_over = [name for name in os.listdir(folder) if ".journal" in name]
    taken, refused = sum(p.taken for p in programs), sum(p.refused for p in programs)
    print(f"{len(met)} restarts, each with {min(met)} to {max(met)} of {SLICES * PROGRAMS} programs attached (mean "
          f"{sum(met) / len(met):.1f}): {taken} blocks taken, {refused} refused, most held in a slice "
          f"{max(s.most_mib for s in slices)} of {LIMIT_MIB} MiB; slowest answer {max(p.slowest_s for p in programs):.1f} s; "
          f"left at the end: {left}, {left_over}")
    for line in sorted(set(wrong)):
        print("FAIL", line)
    sys.exit(1 if wrong or left != (0, 0) or left_over or refused == 0 or taken < 10 * arguments.kills else 0)


main()
