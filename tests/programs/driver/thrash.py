#!/usr/bin/env python3
"""A GPU that is made to thrash: programs that fill it take turns that are much too short for what it costs to move them. That is noticed, shown and
told of, turns become longer than others were to wait at most until most of the time is work again, and a daemon that is started anew knows it still.

usage: thrash.py BIN_DIR PROGRAM    (driver_larger_together)
"""
import http.client
import json
import os
import signal
import subprocess
import sys

import asked
from asked import require

DEVICE, MIB, OVERHEAD, TENANTS = 96, 60, 12, 11
ROUND_S = 1  # within which each has had a turn
TOO_SHORT_S = ROUND_S / (TENANTS - 1)  # so long turns are then; moving a program's memory out and in takes about half of that
PATIENCE = 400  # s
OPTIONS = ["--overcommit", "9", "--residence-round", str(ROUND_S), "--swap-codec", "lz4", "--swap-encrypt", "--http", "127.0.0.1:0"]


class Tenants:
    def __init__(self, tessera, program):
        self.processes = [
            subprocess.Popen([tessera, "run", "--name", f"t{number}", "--mem", f"{MIB + OVERHEAD}MiB", "--", program, str(MIB), "1000"],
                             stdout=subprocess.DEVNULL, start_new_session=True) for number in range(TENANTS)
        ]

    def all_run(self):
        return all(process.poll() is None for process in self.processes)

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def events(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/api/v1/events")
    body = json.loads(connection.getresponse().read())
    connection.close()
    return {event["kind"] for event in body["events"]}


def turn_seconds(tessera):
    return max((device["turn_seconds"] for device in asked.devices(tessera).values()), default=0)


def check(tessera, program, bin_dir):
    daemon = asked.start_daemon(bin_dir, *OPTIONS)
    port = asked.http_port(tessera)
    tenants = Tenants(tessera, program)
    shown = set()

    def has(kind):
        thrashing = any(device["thrashing"] for device in asked.devices(tessera).values())
        shown.add(thrashing)
        if thrashing and "said" not in shown:
            said = subprocess.run([tessera, "ps"], capture_output=True, text=True).stderr
            shown.update({"said"} if "thrashes" in said else set())
        return kind in events(port)

    try:
        asked.wait_until(lambda: has("thrashing"), PATIENCE, lambda: f"it is noticed: {asked.ps(tessera)}")
        asked.wait_until(lambda: has("thrashing_over"), PATIENCE, lambda: f"it is tamed: {asked.ps(tessera)}")
        require(True in shown and "said" in shown, "tessera ps shows it")
        turn = turn_seconds(tessera)
        require(turn > TOO_SHORT_S, f"turns are {turn} s: no longer than before")
        daemon.kill()
        daemon.wait()
        daemon = asked.start_daemon(bin_dir, *OPTIONS)
        after = turn_seconds(tessera)
        require(after > TOO_SHORT_S, f"turns are {after} s for a daemon that is started anew")
        print(f"turns of {turn:.1f} s, where {TOO_SHORT_S:.1f} s were too short; {after:.1f} s after the daemon's death")
        require(tenants.all_run(), "a program has ended by itself")
    finally:
        tenants.end()
        daemon.terminate()
        daemon.wait()


def main():
    bin_dir, program = sys.argv[1:3]
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE}MiB"):
        check(os.path.join(bin_dir, "tessera"), program, bin_dir)
    print("PASS")


if __name__ == "__main__":
    main()
