#!/usr/bin/env python3
"""Tenants go on while the daemon is dead, and have their shares again once there is one; and when one of them is killed.

usage: shares_recover.py BIN_DIR PROGRAM [--restarts N] [--kills N] [--json FILE]    (PROGRAM: driver_side_by_side)

With a daemon and a software GPU of its own. What decides is how many kernels, all alike, the tenants' own programs have seen end.
How long it took is printed. The daemon is killed in the middle of somebody's turn, and so is a tenant, as both want the GPU all the time.
"""
import argparse
import json
import os
import random
import statistics
import time

import asked
from asked import require

PATIENCE = 60  # s, on whatever machine
SMS = 4
WINDOW_S = 0.25
# As a window of a quarter second holds some tens of turns.
NEAR = 0.10


class Tenant(asked.Program):
    def __init__(self, arguments, name, share):
        super().__init__(arguments.tessera, "run", "--name", name, "--mem", "64MiB", "--sm", str(share), "--sm-mode", "time", "--",
                         arguments.program, "ask")
        self.name = name
        require(self.ask(str(SMS)) == str(SMS), f"{name} starts to work")

    def steps(self):
        return int(self.ask("steps"))

    def goes_on(self, what, more=20):
        begin = self.steps()
        return asked.wait_until(lambda: self.steps() >= begin + more, PATIENCE, lambda: f"{self.name} {what}")


def part_of_first(tenants):
    """Of the kernels that end within a window."""
    before = [tenant.steps() for tenant in tenants]
    time.sleep(WINDOW_S)
    first, *rest = (tenant.steps() - then for tenant, then in zip(tenants, before))
    return first / max(first + sum(rest), 1)


def wait_for_share(tenants, share):
    """Seconds until the first tenant's part is near its share; that is the end of the first window where it is."""
    seen = []

    def is_near():
        seen.append(part_of_first(tenants))
        return abs(seen[-1] - share) <= NEAR

    return asked.wait_until(is_near, PATIENCE, lambda: f"a part near {share}: {seen}")


def summary(took):
    return {"times": len(took), "median_s": statistics.median(took), "longest_s": max(took)}


def check_restarts(arguments, dice):
    daemon = asked.start_daemon(arguments.bin)
    tenants = [Tenant(arguments, "quarter", 25), Tenant(arguments, "rest", 75)]
    wait_for_share(tenants, 0.25)
    took = []
    try:
        for _ in range(arguments.restarts):
            time.sleep(dice.random() * 0.05)
            daemon.kill()
            daemon.wait()
            for tenant in tenants:
                tenant.goes_on("works without a daemon")
            daemon = asked.start_daemon(arguments.bin)
            took.append(wait_for_share(tenants, 0.25))
        for tenant in tenants:
            tenant.finish()
    finally:
        daemon.terminate()
        daemon.wait()
    print(f"{len(took)} restarts under load: shares are back after {statistics.median(took):.2f} s (median), {max(took):.2f} s "
          f"(longest), of which {WINDOW_S} s is the window that shows it")
    return summary(took)


def kill_program(tenant, arguments):
    """The program, not the `tessera run` around it."""
    (pid,) = (process["pid"] for process in asked.slices(arguments.tessera)[tenant.name]["processes"])
    os.kill(pid, 9)
    tenant.process.communicate()
    require(tenant.process.returncode == 128 + 9, f"{tenant.name} ends with {tenant.process.returncode}")


def check_kills(arguments, dice):
    daemon = asked.start_daemon(arguments.bin)
    took, waits = [], 0
    try:
        stays = Tenant(arguments, "stays", 50)
        for number in range(arguments.kills):
            falls = Tenant(arguments, f"falls-{number}", 50)
            wait_for_share([stays, falls], 0.5)
            waits += asked.devices(arguments.tessera)[falls.name]["waits"]
            time.sleep(dice.random() * 0.05)
            kill_program(falls, arguments)
            took.append(stays.goes_on("works on"))
            asked.wait_until(lambda: list(asked.slices(arguments.tessera)) == ["stays"], PATIENCE, lambda: "the slice is gone")
        require(waits >= arguments.kills, f"they took turns: {waits} waits")
        shown = asked.devices(arguments.tessera)["stays"]
        stays.finish()
        asked.wait_until(lambda: asked.used_bytes(arguments.tessera) == 0, PATIENCE, lambda: "memory is given back")
    finally:
        daemon.terminate()
        daemon.wait()
    print(f"{len(took)} tenants killed while two took turns ({shown['waits']} waits of the one that stays): it goes on within "
          f"{statistics.median(took):.2f} s (median), {max(took):.2f} s (longest)")
    return summary(took)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("program")
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    arguments.tessera = os.path.join(arguments.bin, "tessera")
    dice = random.Random(arguments.seed)
    with asked.own_node(SOFTGPU_SMS=str(SMS), SOFTGPU_DEVICES="1", SOFTGPU_MEMORY="1GiB"):
        figures = {"restarts": check_restarts(arguments, dice), "kills": check_kills(arguments, dice)}
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file)
    print("PASS")


main()
