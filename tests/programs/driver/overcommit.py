#!/usr/bin/env python3
"""Tenants that together need more memory than the GPU has: all of them finish, every byte is right, nobody waits for others' ends, and
nobody finds a byte of another, also where some are killed in the midst of it.

usage: overcommit.py BIN_DIR PROGRAM [--device MIB] [--rounds N] [--kills N] [--case NAME] [--measure REPEATS] [--json FILE]
                                                                                                         (driver_larger_together)

With a daemon that lets slices be promised more than there is (tesserad --overcommit) and a software GPU of its own. The programs check
their memory themselves, and say how they get on. With --measure they run one after the other, too: what is printed then is how much longer
that takes than together. Memory of a virtual machine may be slow the first time that it is touched, which they do more of together:
all that they need is touched before.
"""
import argparse
import json
import mmap
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time

import asked
from asked import require

# Tenants, and what each needs in parts of the device.
CASES = {"two of three quarters": (2, 0.75), "five of three eighths": (5, 0.375)}
PATIENCE = 600  # s
MADV_POPULATE_WRITE = 23  # which this module has no name for


class Tenant(threading.Thread):
    """A program, and when it got on."""

    def __init__(self, arguments, number, mib):
        super().__init__()
        self.tessera, self.name = arguments.tessera, f"t{number}"
        self.summary = os.path.join(os.path.dirname(os.environ["TESSERA_SOCKET"]), f"{self.name}.json")
        limit = mib + arguments.overhead
        self.process = subprocess.Popen([arguments.tessera, "run", "--name", self.name, "--mem", f"{limit}MiB",
                                         "--json-summary", self.summary, "--", arguments.program,
                                         str(mib), str(arguments.rounds), str(number), "fresh",
                                         *(["ordered"] if number % 2 == 0 else [])], stdout=subprocess.PIPE, text=True)
        self.marks, self.last = [], ""
        self.start()

    def run(self):
        for self.last in self.process.stdout:
            if self.last.startswith(("round ", "at ")):
                self.marks.append(time.monotonic())

    def kill(self):
        """The program, wherever it is."""
        for process in asked.slices(self.tessera).get(self.name, {"processes": []})["processes"]:
            os.kill(process["pid"], signal.SIGKILL)
        self.process.send_signal(signal.SIGTERM)  # where there was none yet
        self.join(PATIENCE)
        self.process.wait()

    def finish(self):
        self.join(PATIENCE)
        require(not self.is_alive(), f"{self.last.strip()!r} was the last word for long")
        require(self.process.wait() == 0 and self.last.startswith("PASS"), f"{self.process.returncode} {self.last}")

    def moved_bytes(self):
        """Off the device, in all."""
        with open(self.summary, encoding="utf-8") as file:
            return json.load(file)["devices"][0]["evicted_bytes"]


def cpu_s():
    """Of programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(arguments, count, mib, together):
    began, cpu_before = time.monotonic(), cpu_s()
    tenants = []
    for number in range(1, count + 1):
        tenants.append(Tenant(arguments, number, mib))
        if not together:
            tenants[-1].finish()
    for tenant in tenants:
        tenant.finish()
    return time.monotonic() - began, tenants, cpu_s() - cpu_before


def longest_wait(tenants):
    """Of a tenant, between two of its marks."""
    return max(later - before for tenant in tenants for before, later in zip(tenant.marks, tenant.marks[1:]))


def turns(tenants):
    """How often another tenant was the one that got on."""
    order = sorted((mark, number) for number, tenant in enumerate(tenants) for mark in tenant.marks)
    return sum(before != after for (_, before), (_, after) in zip(order, order[1:]))


def part_done(tenants):
    """What all had done at least when the first one ended, in parts of its work."""
    first_end = min(tenant.marks[-1] for tenant in tenants)
    return min(sum(mark <= first_end for mark in tenant.marks) / len(tenant.marks) for tenant in tenants)


def available_mib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"MemAvailable: *([0-9]+) kB", file.read()).group(1)) // 1024


def touch_host_memory(mib):
    """As much of it, as far as the host can spare that."""
    leave, chunk_mib = 2048, 64
    chunks = max(0, min(mib, available_mib() - leave)) // chunk_mib
    if chunks == 0:
        return
    began = time.monotonic()
    with mmap.mmap(-1, chunks * chunk_mib << 20) as memory:
        for at in range(0, len(memory), chunk_mib << 20):
            try:
                memory.madvise(MADV_POPULATE_WRITE, at, chunk_mib << 20)
            except OSError:  # of before Linux 5.14
                memory[at:at + (chunk_mib << 20):mmap.PAGESIZE] = bytes((chunk_mib << 20) // mmap.PAGESIZE)
    took = time.monotonic() - began
    print(f"{chunks * chunk_mib} MiB of the host's memory touched in {took:.1f} s", flush=True)


def check(arguments, name):
    count, part = CASES[name]
    mib = int(arguments.device * part) - arguments.overhead
    if arguments.measure:
        touch_host_memory(count * mib * 5 // 4)  # beside their data, what they make it from
    took, tenants, cpu = run(arguments, count, mib, together=True)
    moved = sum(tenant.moved_bytes() for tenant in tenants) / (count * mib << 20)
    figures = {"tenants": count, "mib": mib, "together_s": took, "together_cpu_s": cpu, "longest_wait_s": longest_wait(tenants),
               "turns": turns(tenants), "part_done": part_done(tenants), "moved": moved}
    print(f"{name}: {count} x {mib} MiB on {arguments.device} MiB: {took:.1f} s together, in {figures['turns']} turns; all was moved off "
          f"{moved:.1f} times; the longest wait {figures['longest_wait_s']:.1f} s; when the first one ended all had done {figures['part_done']:.0%} of their work", flush=True)
    # One after the other there are no turns but the first ones.
    require(figures["turns"] >= count and figures["part_done"] > 0, "they ran one after the other")
    throughputs = []
    for repeat in range(arguments.measure):
        alone, _, alone_cpu = run(arguments, count, mib, together=False)
        if repeat > 0:
            took, _, cpu = run(arguments, count, mib, together=True)
        throughputs.append(alone / took)
        print(f"{name}: {took:.1f} s together, {alone:.1f} s one after the other: throughput {throughputs[-1]:.2f}; "
              f"{cpu:.1f} s and {alone_cpu:.1f} s of processors", flush=True)
    if throughputs:
        figures["throughputs"], figures["throughput"] = throughputs, statistics.median(throughputs)
    asked.wait_until(lambda: asked.used_bytes(arguments.tessera) == 0, PATIENCE, lambda: "the device is empty again")
    return figures


def empty(arguments):
    return not asked.slices(arguments.tessera) and asked.used_bytes(arguments.tessera) == 0


class Daemon:
    def __init__(self, arguments):
        self.bin = arguments.bin
        self.start()

    def start(self):
        self.process = asked.start_daemon(self.bin, "--overcommit", "2")

    def kill_and_start(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def end(self):
        self.process.terminate()
        self.process.wait()


def check_kills(arguments, daemon):
    """Tenants that are killed at any moment of their moving give everything back, and the others lose nothing; nor do they by the daemon's
    death."""
    dice = random.Random(arguments.seed)
    mib = arguments.device // 2
    stay = [Tenant(arguments, 1, mib), Tenant(arguments, 2, mib)]
    for number in range(arguments.kills):
        falls = Tenant(arguments, 10 + number, mib)
        time.sleep(dice.random() * 1.5)
        if number % 2 == 1:
            daemon.kill_and_start()
            time.sleep(dice.random())
        falls.kill()
    for tenant in stay:
        tenant.finish()
    asked.wait_until(lambda: empty(arguments), PATIENCE, lambda: f"what the killed ones had is given back: {asked.ps(arguments.tessera)}")
    print(f"{arguments.kills} tenants killed among three that need 1.5 times the device, and the daemon {arguments.kills // 2} times: the "
          "others' bytes are right, nothing is left", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bin")
    parser.add_argument("program")
    parser.add_argument("--device", type=int, default=256, help="MiB")
    parser.add_argument("--measure", type=int, default=0, help="how often")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--json")
    arguments = parser.parse_args()
    arguments.tessera, arguments.overhead = os.path.join(arguments.bin, "tessera"), 16
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{arguments.device}MiB"):
        daemon = Daemon(arguments)
        try:
            if arguments.kills:
                check_kills(arguments, daemon)
            figures = {name: check(arguments, name) for name in arguments.case or CASES}
        finally:
            daemon.end()
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file)
    print("PASS")


if __name__ == "__main__":
    sys.exit(main())
