#!/usr/bin/env python3
"""Kills programs with SIGKILL at random moments and checks that nothing stays charged.

usage: kill_nine.py --bin BIN_DIR --program PROGRAM [--kills 1000] [--seed 1] [--together 4]

Each round starts PROGRAM under `tessera run` (or directly on the driver below, one in four), several at a time, lets it live
for a random time between 0 and LIFE_MAX_S, and kills it. At the end nothing may be charged: not in the daemon's ledger
(`tessera ps`), not on the device itself (`tessera gpus`). Prints "N kills, 0 bytes left charged" and exits 0, or says what
is left and exits 1. Says as well how long budgets took to come back: for each program killed in a slice that held memory, the
time from SIGKILL until the daemon shows nothing charged to the slice, in two parts: until the kernel says that the process
has ended (its pidfd: taking the process down, its mappings above all, is the kernel's work), and from then on. The daemon is
asked over one connection: a command started for each question takes longer than what is measured. It fails as well where fewer than a quarter of the rounds were seen to hold memory: it would
prove nothing.
"""
import argparse
import json
import os
import random
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "driver"))
import asked  # noqa: E402

LIFE_MAX_S = 0.25
SETTLE_S = 5.0


def tessera(arguments, *words):
    out = subprocess.run([os.path.join(arguments.bin, "tessera"), *words], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def children_of(pid):
    """Pids of the processes whose parent is `pid`."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listing:
            return [int(word) for word in listing.read().split()]
    except OSError:
        return []


def kill_program(process, under_tessera):
    """Kills the program itself: `tessera run` stays, as it does when a user's program dies."""
    victims = children_of(process.pid) if under_tessera else [process.pid]
    for pid in victims or [process.pid]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Control:
    """A connection to the daemon for control requests (virtualization/lease/protocol.h, node/control_service.h)."""

    MAGIC, CONTROL = 0x41525354, 100
    PROTOCOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "virtualization", "lease", "protocol.h")

    def __init__(self):
        with open(self.PROTOCOL, encoding="utf-8") as file:
            self.version = int(re.search(r"kLeaseVersion = (\d+);", file.read()).group(1))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(os.environ["TESSERA_SOCKET"])

    def holds(self, name):
        body = b'{"op":"slices"}'
        self.socket.send(struct.pack("<IHHII", self.MAGIC, self.version, self.CONTROL, 1, len(body)) + body)
        answer = json.loads(self.socket.recv(1 << 16)[16:])
        return any(d["used_bytes"] + d["granted_bytes"] for s in answer["slices"] if s["name"] == name for d in s["devices"])


def kill_and_time(control, process, name):
    """Kills the program in the slice; (seconds until it has ended, seconds from then until its budget is back), or None where the
    slice held nothing."""
    if not control.holds(name):
        kill_program(process, True)
        return None
    try:
        ends = select.poll()
        pidfd = os.pidfd_open(children_of(process.pid)[0])
    except (IndexError, ProcessLookupError):
        return None  # it has ended by itself
    ends.register(pidfd, select.POLLIN)
    began = time.monotonic()
    kill_program(process, True)
    ends.poll(SETTLE_S * 1e3)
    ended = time.monotonic()
    while control.holds(name) and time.monotonic() - began < SETTLE_S:
        pass
    back = time.monotonic()
    os.close(pidfd)
    return ended - began, back - ended


def round_of_kills(arguments, control, dice, recoveries):
    running = []
    for place in range(arguments.together):
        under_tessera = dice.random() < 0.75
        command = [arguments.program, "--rounds", "1000000", "--memory", "64MiB"]
        if under_tessera:
            command = [os.path.join(arguments.bin, "tessera"), "run", "--name", f"kill-{place}", "--mem", "256MiB", "--", *command]
        running.append((subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), under_tessera))
    seen = 0
    for place, (process, under_tessera) in enumerate(running):
        time.sleep(dice.random() * LIFE_MAX_S / arguments.together)
        if seen == 0:
            seen = max(charged(arguments))
        if under_tessera:
            recoveries.append(kill_and_time(control, process, f"kill-{place}"))
        else:
            kill_program(process, False)
    for process, _ in running:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            kill_program(process, False)
            process.wait()
    return len(running), seen > 0


def charged(arguments):
    """(bytes in the daemon's ledger, bytes used on the devices)"""
    ledger = sum(d.get("used_bytes", 0) + d.get("granted_bytes", 0)
                 for s in tessera(arguments, "ps", "--json")["slices"] for d in s["devices"])
    devices = sum(g["used_bytes"] for g in tessera(arguments, "gpus", "--json")["gpus"])
    return ledger, devices


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--together", type=int, default=4)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)

    with tempfile.TemporaryDirectory() as folder:
        os.environ["TESSERA_SOCKET"] = os.path.join(folder, "tesserad.sock")
        os.environ["SOFTGPU_STATE_DIR"] = os.path.join(folder, "softgpu")
        daemon = asked.start_daemon(arguments.bin)
        try:
            kills = rounds_with_memory = rounds = 0
            recoveries = []
            control = Control()
            while kills < arguments.kills:
                killed, held_memory = round_of_kills(arguments, control, dice, recoveries)
                kills, rounds, rounds_with_memory = kills + killed, rounds + 1, rounds_with_memory + held_memory
            deadline = time.monotonic() + SETTLE_S
            ledger, devices = charged(arguments)
            while (ledger or devices) and time.monotonic() < deadline:
                time.sleep(0.05)
                ledger, devices = charged(arguments)
        finally:
            daemon.terminate()
            daemon.wait()
    print(f"{kills} kills, {ledger + devices} bytes left charged ({ledger} in the ledger, {devices} on the device); "
          f"memory was held at the kill in {rounds_with_memory} of {rounds} rounds")
    parts = [recovery for recovery in recoveries if recovery is not None]
    seconds = [ended + back for ended, back in parts]
    if parts:
        for what, values in (("budget back after SIGKILL", seconds), ("  of it until the process has ended", [p[0] for p in parts]),
                             ("  of it from then on", [p[1] for p in parts])):
            print(f"{what}: median {statistics.median(values) * 1e3:.1f} ms, max {max(values) * 1e3:.1f} ms")
        print(f"in {len(parts)} kills of a program that held memory in a slice; {sum(s > 0.1 for s in seconds)} took more than 100 ms")
    late = max(seconds, default=0) >= SETTLE_S
    sys.exit(1 if ledger or devices or late or rounds_with_memory * 4 < rounds else 0)


main()
