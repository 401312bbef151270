#!/usr/bin/env python3
"""Slices that count with what they need of a GPU: their limits together are more than it has, and more of them are let in as it shows that they
need less; who is refused is told why; what was measured outlives the daemon.

usage: working_sets.py BIN_DIR PROGRAM    (driver_larger_together)
"""
import os
import subprocess
import sys

import asked
from asked import require

DEVICE, LIMIT, NEED = 280, 200, 40  # MiB
WINDOW = 8  # s
PATIENCE = 240  # s
OPTIONS = ["--overcommit-by", "working-sets", "--working-set-window", str(WINDOW)]


class Tenant:
    """A program in a slice that stays, at work until it is told to end."""

    def __init__(self, tessera, folder, name):
        self.tessera, self.name, self.until = tessera, name, os.path.join(folder, name + ".end")
        asked.call(tessera, "slice", "create", name, "--mem", f"{LIMIT}MiB")

    def start(self, program):
        self.running = subprocess.Popen([self.tessera, "run", "--slice", self.name, "--", program, str(NEED), "1", "7", f"until={self.until}"],
                                        stdout=subprocess.PIPE, text=True)

    def need_mib(self):
        need = asked.devices(self.tessera)[self.name]["working_set_bytes"]
        return None if need is None else need >> 20

    def wait_until_known(self):
        asked.wait_until(lambda: self.need_mib() is not None, PATIENCE, lambda: f"what {self.name} needs is known: {asked.ps(self.tessera)}")
        require(NEED <= self.need_mib() <= LIMIT // 2, f"{self.name} needs {self.need_mib()} MiB")

    def finish(self):
        with open(self.until, "w", encoding="ascii"):
            pass
        out, _ = self.running.communicate(timeout=PATIENCE)
        require(self.running.returncode == 0 and out.splitlines()[-1].startswith("PASS"), f"{self.running.returncode} {out}")


def refused(tessera, name):
    out = subprocess.run([tessera, "slice", "create", name, "--mem", f"{LIMIT}MiB"], capture_output=True, text=True)
    require(out.returncode != 0, f"{name} is not refused: {asked.ps(tessera)}")
    return out.stderr


def admitted(tessera, name):
    return subprocess.run([tessera, "slice", "create", name, "--mem", f"{LIMIT}MiB"], capture_output=True).returncode == 0


def check(bin_dir, program, folder, start):
    tessera = os.path.join(bin_dir, "tessera")
    first = Tenant(tessera, folder, "first")
    said = refused(tessera, "second")
    require("200MiB are the limits of 1 whose need is not known yet" in said, said)
    require(first.need_mib() is None, "nothing has run in it")
    first.start(program)
    first.wait_until_known()
    second = Tenant(tessera, folder, "second")
    said = refused(tessera, "third")
    require("whose need is not known yet" in said and "slices need" in said and "--overcommit" in said, said)
    second.start(program)
    second.wait_until_known()
    needs = [tenant.need_mib() for tenant in (first, second)]
    start()  # anew
    require(all(abs(tenant.need_mib() - need) <= LIMIT // 16 for tenant, need in zip((first, second), needs)), "what was measured outlives the daemon")
    said = refused(tessera, "third")
    require("limits of" not in said and "as measured: ask for less (--mem)" in said, said)
    first.finish()
    asked.wait_until(lambda: admitted(tessera, "third"), PATIENCE, lambda: f"what is needed no longer is given to others: {asked.ps(tessera)}")
    second.finish()
    print(f"two slices of {LIMIT} MiB that need {needs[0]} and {needs[1]} MiB were let in on {DEVICE} MiB, and a third one once one needed less")


def main():
    bin_dir, program = sys.argv[1:3]
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE}MiB") as folder:
        daemons = [asked.start_daemon(bin_dir, *OPTIONS)]

        def start():
            daemons[-1].kill()
            daemons[-1].wait()
            daemons.append(asked.start_daemon(bin_dir, *OPTIONS))

        try:
            check(bin_dir, program, folder, start)
        finally:
            daemons[-1].terminate()
            daemons[-1].wait()
    print("PASS")


if __name__ == "__main__":
    main()
