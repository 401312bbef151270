#!/usr/bin/env python3
"""64 clients of one server at once, on one GPU, that all have more work than it can do: each gets its part by weight, and none starves.

usage: fair_test.py TESSERA SHARE_LOAD [SECONDS]

Counted is the work that kernels did on the device. Prints what each weight got; exit code 1 where somebody has less than half of his part.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile
import time

TESSERA, LOAD = sys.argv[1:3]
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 10
WEIGHTS = (50, 100, 150, 200) * 16
LEADS = (25, 60, 120)  # seconds for all of them to start in: the next one where the one before was too short
LEAST = 0.5  # of what a client's weight entitles it to


def measure(folder, lead):
    """The work of each client; None where some had not started in time."""
    environment = dict(os.environ, TESSERA_DRIVER="software", SOFTGPU_STATE_DIR=folder + "/softgpu", SOFTGPU_DEVICES="1", SOFTGPU_SMS="2",
                       SOFTGPU_LOG="error", TESSERA_SOCKET=folder + "/tesserad", TESSERA_LOG="error")
    for name in ("TESSERA_SLICE", "TESSERA_SERVER", "LD_LIBRARY_PATH"):
        environment.pop(name, None)
    daemon = subprocess.Popen([os.path.dirname(TESSERA) + "/tesserad", "--foreground"], env=environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    server = subprocess.Popen([TESSERA, "serve", "--json", "--listen", "127.0.0.1:0"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        address = json.loads(server.stdout.readline())["addresses"][0].removeprefix("tcp://")
        begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(lead * 1e9)
        clients = [subprocess.Popen([TESSERA, "run", "--server", address, "--mem", "64MiB", "--weight", str(weight), "--", LOAD, "--begin",
                                     str(begin), "--seconds", str(SECONDS), "--steps", "20000"],
                                    env=environment, stdout=subprocess.PIPE, text=True) for weight in WEIGHTS]
        started = set()
        while time.clock_gettime_ns(time.CLOCK_MONOTONIC) < begin and len(started) < len(clients):
            line = server.stdout.readline()
            if json.loads(line)["event"] == "session_started":
                started.add(line)
        # A session's first steps are still to come when it starts.
        in_time = len(started) == len(clients) and begin - time.clock_gettime_ns(time.CLOCK_MONOTONIC) > lead * 0.2e9
        results = []
        for client in clients:
            output, _ = client.communicate(timeout=lead + SECONDS + 120)
            if client.returncode != 0:
                sys.exit("a client ended with %d" % client.returncode)
            results.append(json.loads(output)["work"])
        return results if in_time else None
    finally:
        server.terminate()
        server.stdout.close()
        server.wait()
        daemon.terminate()
        daemon.wait()


def main():
    for lead in LEADS:
        with tempfile.TemporaryDirectory() as folder:
            work = measure(folder, lead)
        if work is not None:
            break
    else:
        sys.exit("not all clients start within %d s" % LEADS[-1])
    total, weights = sum(work), sum(WEIGHTS)
    parts = [got / total / (weight / weights) for got, weight in zip(work, WEIGHTS)]
    of_weight = collections.defaultdict(list)
    for part, weight in zip(parts, WEIGHTS):
        of_weight[weight].append(part)
    for weight, of_it in sorted(of_weight.items()):
        print("weight %3d: %.2f of its part, %.2f to %.2f" % (weight, sum(of_it) / len(of_it), min(of_it), max(of_it)))
    print("%d clients, Jain's index by weight %.4f" % (len(parts), sum(parts) ** 2 / (len(parts) * sum(p ** 2 for p in parts))))
    return 0 if min(parts) >= LEAST else 1


sys.exit(main())
