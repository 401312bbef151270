#!/usr/bin/env python3
"""Starts many programs at once under one daemon and reports how long the slowest took to have its memory.

usage: start_many.py --bin BIN_DIR --program PROGRAM [--processes 300]

Half of the programs have slices of their own (`tessera run`), the other half share one slice. PROGRAM is
driver_limit_changes: it attaches, allocates and works as soon as it is told, and stays until its input ends. All hold their
memory at the same time, so all leases exist at once; then the ledger must say what they hold together, and nothing once they
have ended. Exits 1 where a program was refused or the sums differ.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "driver"))
import asked  # noqa: E402

MIB = 1 << 20


def tessera(arguments, *words):
    done = subprocess.run([os.path.join(arguments.bin, "tessera"), *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def used(arguments):
    slices = tessera(arguments, "ps", "--json")["slices"]
    return sum(device["used_bytes"] for s in slices for device in s["devices"]), sum(len(s["processes"]) for s in slices)


class Starter(threading.Thread):
    """One program: from the start of `tessera run`, or of the program in the shared slice, until it holds 2 MiB."""

    def __init__(self, command, environment, gate):
        super().__init__()
        self.command, self.environment, self.gate = command, environment, gate
        self.answer, self.seconds, self.process = "", 0.0, None

    def run(self):
        self.gate.wait()
        began = time.monotonic()
        self.process = subprocess.Popen(self.command, env=self.environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        try:
            self.process.stdin.write("take 2\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says that it has ended
        self.answer = self.process.stdout.readline().strip()
        self.seconds = time.monotonic() - began

    def finish(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        return self.process.wait(timeout=120)


def shared_slice(arguments, folder):
    """A slice that lives as long as the returned process, and the environment of programs in it."""
    path = os.path.join(folder, "environment")
    holder = subprocess.Popen([os.path.join(arguments.bin, "tessera"), "run", "--mem", "1GiB", "--", "sh", "-c",
                               'env -0 >"$0.new" && mv "$0.new" "$0"; read -r _', path], stdin=subprocess.PIPE)
    while not os.path.exists(path):
        time.sleep(0.01)
    with open(path, "rb") as file:
        return holder, dict(entry.decode().split("=", 1) for entry in file.read().split(b"\0") if entry)


def start_all(arguments, folder):
    holder, inside = shared_slice(arguments, folder)
    gate = threading.Event()
    run = [os.path.join(arguments.bin, "tessera"), "run", "--mem", "8MiB", "--", arguments.program]
    starters = [Starter([arguments.program], inside, gate) if i % 2 else Starter(run, dict(os.environ), gate)
                for i in range(arguments.processes)]
    for starter in starters:
        starter.start()
    gate.set()
    for starter in starters:
        starter.join()
    sums = used(arguments)
    codes = [starter.finish() for starter in starters]
    holder.stdin.close()
    holder.wait(timeout=60)
    return starters, sums, codes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--processes", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=os.path.join(folder, "softgpu"))
        os.environ.pop("TESSERA_SLICE", None)
        daemon = asked.start_daemon(arguments.bin)
        try:
            starters, (bytes_used, processes), codes = start_all(arguments, folder)
            deadline = time.monotonic() + 10
            while used(arguments) != (0, 0) and time.monotonic() < deadline:
                time.sleep(0.05)
            left = used(arguments)
        finally:
            daemon.terminate()
            daemon.wait()
    seconds = sorted(starter.seconds for starter in starters)
    failed = [starter.answer for starter in starters if starter.answer != "taken"] + [code for code in codes if code]
    expected = arguments.processes * 2 * MIB
    print(f"{arguments.processes} programs at once: slowest {seconds[-1]:.2f} s, median {seconds[len(seconds) // 2]:.2f} s; "
          f"{bytes_used // MIB} MiB in {processes} processes, {len(failed)} failed {sorted(set(map(str, failed)))[:3]}; left at the end: {left}")
    sys.exit(1 if failed or bytes_used < expected or processes != arguments.processes or left != (0, 0) else 0)


main()
