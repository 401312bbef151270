#!/usr/bin/env python3
"""Runs tenants side by side on one GPU and prints what each was promised and what it got.

usage: shares.py --bin BIN --load PROGRAM [--bare-turns PROGRAM] [--seconds 5] [--rounds 1] [--only NAME] [--plain-driver] [--json FILE]

Each tenant is `tessera run --sm … -- share_load …`, or the like with other options. What it got is the work its kernels
counted on the device between two moments that are the same for all tenants, as a part of what it gets done alone: the tenants' own
count, not Tessera's. What is kept of the throughput is the sum of these parts. The daemon's part of a processor in that time is the
kernel's count; with many tenants it is printed against bare_turns, measured right after: a process that wakes others as often, and
does nothing else. Tenants whose kernels have one block run side by side where there are SMs; what that yields is printed against the
same tenants in turns (`tesserad --co-execution off`), measured right after.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

START_S = 1.5  # for all tenants to start, and to work for a second, before the counting begins


class Tenant:
    """`share` is what it is promised, in percent; without one its weight decides, among 100 to start with. One that `idles` is not
    among those that share: the others have its part."""

    def __init__(self, share=None, load=(), options=(), idles=False):
        self.share, self.load, self.idles = share, tuple(load), idles
        self.options = list(options) + (["--sm", str(share)] if share else [])
        self.weight = int(options[1]) if "--weight" in options else share or 100


ASYNC = ("--steps", "200000")  # a millisecond or more: two threads of the host cannot keep a GPU of two SMs busy with less
NARROW = (*ASYNC, "--blocks", "1")
CASES = {
    "10/90": [Tenant(10, ASYNC), Tenant(90, ASYNC)],
    "25/75": [Tenant(25, ASYNC), Tenant(75, ASYNC)],
    "30/70": [Tenant(30, ASYNC), Tenant(70, ASYNC)],
    "50/50": [Tenant(50, ASYNC), Tenant(50, ASYNC)],
    "40/30/15/10/5": [Tenant(s, ASYNC) for s in (40, 30, 15, 10, 5)],
    "25/75 short": [Tenant(s, ("--steps", "1000", "--depth", "32")) for s in (25, 75)],
    "25/75 long": [Tenant(s, ("--steps", "2000000", "--depth", "2")) for s in (25, 75)],
    "25/75 mixed": [Tenant(s, ("--mode", "mixed", "--steps", "20000")) for s in (25, 75)],
    "25/75 short against long": [Tenant(25, ("--steps", "1000", "--depth", "32")), Tenant(75, ("--steps", "2000000"))],
    "25/75 graphs": [Tenant(s, ("--mode", "graph", "--steps", "10000")) for s in (25, 75)],
    "25/75 copies": [Tenant(s, ("--mode", "copies", "--steps", "100000")) for s in (25, 75)],
    "25/75 copies held": [Tenant(s, ("--mode", "copies", "--steps", "100000"), ("--gate-copies",)) for s in (25, 75)],
    "70 beside an idle 30": [Tenant(70, ASYNC), Tenant(30, ("--mode", "sync", "--steps", "1000", "--think-us", "500000"), idles=True)],
    "64 by weight": [Tenant(None, ASYNC, ("--weight", str(weight))) for weight in (50, 100, 150, 200) * 16],
    "2 narrow": [Tenant(None, NARROW) for _ in range(2)],
    "4 narrow": [Tenant(None, NARROW) for _ in range(4)],
    "2 narrow, 1 wide": [Tenant(None, NARROW), Tenant(None, NARROW), Tenant(None, ASYNC)],
    "25/75 one never waits": [Tenant(25, ("--mode", "flood", "--steps", "20000")), Tenant(75, ASYNC)],
}


# Of the windows in which one tenant works alone: long enough for some of the kernels, and for what many tenants have in flight to end
# in the fifth that is not counted.
WINDOW_S = 0.5
WINDOWS = {"25/75 long": 2.5, "25/75 short against long": 2.5, "64 by weight": 2.5}
TOGETHER = 2  # windows, after those of each alone
MOST_SOLOISTS = 8  # with more tenants one of each kind of load stands for all
SIDE_BY_SIDE = ("2 narrow", "4 narrow", "2 narrow, 1 wide")


def start(arguments, tenant, number, begin_ns, seconds, window=()):
    command = [os.path.join(arguments.bin, "tessera"), "run", "--mem", "64MiB", "--name", f"t{number}", *tenant.options, "--",
               arguments.load, "--name", f"t{number}", "--begin", str(begin_ns), "--seconds", str(seconds), *window, *tenant.load]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=arguments.environment)


@dataclasses.dataclass
class DaemonUse:
    """Of the daemon: of a processor in seconds, and how often it went to sleep; or both by the second."""
    cpu: float = 0
    sleeps: float = 0

    def __add__(self, other):
        return DaemonUse(self.cpu + other.cpu, self.sleeps + other.sleeps)

    def __sub__(self, other):
        return DaemonUse(self.cpu - other.cpu, self.sleeps - other.sleeps)

    def by_second(self, seconds):
        return DaemonUse(self.cpu / seconds, self.sleeps / seconds)


def daemon_use(socket_path):
    """Of the daemon that listens there, by now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(socket_path)
        pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:  # of its one thread, in ns; proc(5)'s stat has but 10 ms
        cpu_ns = int(file.read().split()[0])
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        sleeps = next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return DaemonUse(cpu_ns / 1e9, sleeps)


def sleep_until(moment_ns):
    time.sleep(max(moment_ns - time.clock_gettime_ns(time.CLOCK_MONOTONIC), 0) / 1e9)


def run(arguments, tenants, seconds, options=(), watched=()):
    """The figures of each tenant, in their order, and the daemon's use by the second in the spans of that time that are watched, in
    seconds from its begin."""
    begin_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int((START_S + 0.1 * len(tenants)) * 1e9)
    options = options or [()] * len(tenants)
    processes = [start(arguments, tenant, i, begin_ns, seconds, more) for i, (tenant, more) in enumerate(zip(tenants, options))]
    daemon = DaemonUse()
    for first_s, last_s in watched:
        sleep_until(begin_ns + int(first_s * 1e9))
        before = daemon_use(arguments.environment["TESSERA_SOCKET"])
        sleep_until(begin_ns + int(last_s * 1e9))
        daemon += daemon_use(arguments.environment["TESSERA_SOCKET"]) - before
    figures = []
    for process in processes:
        out, _ = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"a tenant failed with {process.returncode}")
        figures.append(json.loads(out))
    return figures, daemon.by_second(max(sum(last_s - first_s for first_s, last_s in watched), 1e-9))


def rate(figure, solo=""):
    return figure[f"{solo}work"] / figure[f"{solo}seconds"]


def soloists_of(tenants):
    """Whose speed alone is measured, by their numbers, and the numbers of those whose it is taken for."""
    busy = [number for number, tenant in enumerate(tenants) if not tenant.idles]
    if len(busy) <= MOST_SOLOISTS:
        return {number: number for number in busy}
    first = {}
    return {number: first.setdefault(tenants[number].load, number) for number in busy}


def parts_of(arguments, tenants, window_s):
    """What each tenant got done beside the others, as a part of what it gets done alone, and the daemon's use by the second. Alone is
    measured in the same processes, in windows that take turns with the time together: processes that do the same differ in speed by
    some percent, and this machine's may drift by more than what is looked for."""
    own = soloists_of(tenants)
    soloists = sorted(set(own.values()))
    cycles = max(round(arguments.seconds / (TOGETHER * window_s)), 1)
    cycle_s = (len(soloists) + TOGETHER) * window_s
    plan = ("--window", str(window_s), "--solos", str(len(soloists)), "--together", str(TOGETHER))
    options = [plan + (("--solo", str(soloists.index(number))) if number in soloists else ()) for number in range(len(tenants))]
    watched = [(cycle * cycle_s + len(soloists) * window_s, (cycle + 1) * cycle_s) for cycle in range(cycles)]
    figures, daemon = run(arguments, tenants, cycles * cycle_s, options, watched)
    return [rate(figures[number]) / rate(figures[alone], "solo_") for number, alone in own.items()], daemon


def parts_beside_a_flood(arguments, tenants):
    """The same where one never rests, and so cannot let others be alone: measured right before and after, in other processes."""
    before = [rate(run(arguments, [Tenant(None, tenant.load)], arguments.seconds)[0][0]) for tenant in tenants]
    figures, daemon = run(arguments, tenants, arguments.seconds, watched=[(0, arguments.seconds)])
    after = [rate(run(arguments, [Tenant(None, tenant.load)], arguments.seconds)[0][0]) for tenant in tenants]
    return [2 * rate(figure) / sum(alone) for figure, *alone in zip(figures, before, after)], daemon


def bare_turns_cpu(arguments, tenants, turns_per_s):
    """Of a processor, of the process that wakes as many others as often, by the turn's length; in a run as long."""
    command = [arguments.bare_turns, str(len(tenants)), f"{turns_per_s:.1f}", str(arguments.seconds)]
    bare = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return bare["cpu_percent"] * turns_per_s / bare["turns_per_s"]  # its turns are late by what waking takes


def measure(arguments, name):
    """Medians of the rounds."""
    tenants = CASES[name]
    busy = [tenant for tenant in tenants if not tenant.idles]
    rounds = []
    for _ in range(arguments.rounds):
        if any("flood" in tenant.load for tenant in tenants):
            parts, daemon = parts_beside_a_flood(arguments, tenants)
        else:
            parts, daemon = parts_of(arguments, tenants, min(WINDOWS.get(name, WINDOW_S), arguments.seconds / TOGETHER))
        has_floor = arguments.bare_turns and len(tenants) > MOST_SOLOISTS
        bare = bare_turns_cpu(arguments, tenants, daemon.sleeps) if has_floor else 0
        rounds.append([*(100 * part / sum(parts) for part in parts), 100 * sum(parts), 100 * daemon.cpu, daemon.sleeps, bare])
    *shares, kept, daemon, sleeps, bare = (statistics.median(values) for values in zip(*rounds))
    total = sum(tenant.weight for tenant in busy)
    promised = [100 * tenant.weight / total for tenant in busy]
    return {"case": name, "tenants": len(tenants), "promised": promised, "achieved": shares,
            "off": max(abs(got - want) for got, want in zip(shares, promised)), "kept": kept,
            "jain": jain([got / want for got, want in zip(shares, promised)]), "daemon_cpu_percent": daemon,
            "daemon_sleeps_per_s": sleeps, **({"bare_turns_cpu_percent": bare} if bare else {})}


@contextlib.contextmanager
def in_turns(arguments):
    """On the same device, by a daemon that lets nobody run beside another."""
    usual = arguments.environment
    arguments.environment = dict(usual, TESSERA_SOCKET=usual["TESSERA_SOCKET"] + ".turns")
    daemon = subprocess.Popen([os.path.join(arguments.bin, "tesserad"), "--foreground", "--co-execution", "off"],
                              env=arguments.environment)
    try:
        while not os.path.exists(arguments.environment["TESSERA_SOCKET"]):
            if daemon.poll() is not None:
                raise SystemExit("tesserad has ended")
            time.sleep(0.02)
        yield
    finally:
        daemon.terminate()
        daemon.wait()
        arguments.environment = usual


def jain(values):
    """Jain's index of fairness: 1 where all have the same, 1/n where one has everything."""
    return sum(values) ** 2 / (len(values) * sum(value ** 2 for value in values))


def text(result):
    splits = "  ".join(f"{got:5.1f}/{want:.0f}" for got, want in zip(result["achieved"], result["promised"]))
    if len(result["promised"]) > 8:
        splits = f"Jain's index by weight {result['jain']:.4f}"
    line = (f"{result['case']:28} {splits}   off by {result['off']:.1f} points, "
            f"{result['kept']:.1f} % of one tenant's throughput kept, daemon {result['daemon_cpu_percent']:.2f} % of a CPU")
    if "bare_turns_cpu_percent" in result:
        line += f" ({result['daemon_sleeps_per_s']:.0f} wake-ups a second; bare ones as often {result['bare_turns_cpu_percent']:.1f} %)"
    return line + (f", in turns {result['kept_in_turns']:.1f} %" if "kept_in_turns" in result else "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--bare-turns", help="the program that is the floor of the daemon's part")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(CASES))
    parser.add_argument("--plain-driver", action="store_true",
                        help="a driver that holds no kernels up: launches wait at the gate, as on NVIDIA's")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    arguments.bare_turns = arguments.bare_turns and os.path.abspath(arguments.bare_turns)
    arguments.bin, arguments.load = os.path.abspath(arguments.bin), os.path.abspath(arguments.load)
    results = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a device and a daemon of its own, which ends by itself
        arguments.environment = dict(os.environ, SOFTGPU_STATE_DIR=os.path.join(folder, "gpu"),
                                     TESSERA_SOCKET=os.path.join(folder, "socket"), TESSERA_DRIVER="software",
                                     SOFTGPU_OWN_TABLES="off" if arguments.plain_driver else "on")
        for name in arguments.only or CASES:
            results.append(measure(arguments, name))
            if name in SIDE_BY_SIDE:
                with in_turns(arguments):
                    results[-1]["kept_in_turns"] = measure(arguments, name)["kept"]
            print(text(results[-1]), flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"seconds": arguments.seconds, "rounds": arguments.rounds, "results": results}, file, indent=2)


if __name__ == "__main__":
    sys.exit(main())
