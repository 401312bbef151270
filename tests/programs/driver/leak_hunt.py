#!/usr/bin/env python3
"""A tenant fills memory with a mark and leaves by every road; another takes all it can get by every road and never finds a byte of it.
That it would find one is shown by the software GPU with its zeroing switched off (SOFTGPU_ZEROING). What zeroing costs is printed.

usage: leak_hunt.py BIN_DIR LIB_DIR PROGRAM    (driver_leak_hunt)
"""
import os
import re
import signal
import subprocess
import sys

import asked
from asked import require

BIN, LIB, PROGRAM = sys.argv[1:4]
MIB = 32  # of the device
THE_SYSTEMS = {"graph"}  # roads to memory that is the process's own, which the software GPU has not to make clean


def call(*words, **environment):
    out = subprocess.run(words, capture_output=True, text=True, timeout=100, env=dict(os.environ, **environment))
    return out.returncode, out.stdout + out.stderr


class Resident:
    """One that has filled its memory and stays, until it is killed: itself, not what it was started by."""

    def __init__(self, road, prefix=(), **environment):
        self.process = subprocess.Popen([*prefix, PROGRAM, "plant", road, "stay"], stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **environment))
        line = self.process.stdout.readline()
        require(line.startswith("planted"), f"plant {road}: {line}")
        self.pid = int(line.split()[1])

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(100)


def plant(road, way, prefix=(), **environment):
    if way == "kill":
        Resident(road, prefix, **environment).kill()
        return
    code, text = call(*prefix, PROGRAM, "plant", road, way, **environment)
    require(code == 0 and "PASS" in text, f"plant {road} {way}: {text}")


def on_the_device_alone(roads):
    """Without Tessera: the driver itself keeps tenants apart."""
    for road in roads:
        for way in ("free", "destroy", "exit", "kill"):
            plant(road, way, LD_LIBRARY_PATH=os.path.join(LIB, "softgpu"))
            code, text = call(PROGRAM, "search", LD_LIBRARY_PATH=os.path.join(LIB, "softgpu"))
            require(code == 0, f"after {road}, {way}: {text}")


def found_without_zeroing(roads, folder):
    """The search is worth something: what is not made clean is found."""
    for road in set(roads) - THE_SYSTEMS:
        environment = dict(SOFTGPU_ZEROING="off", SOFTGPU_STATE_DIR=os.path.join(folder, "dirty-" + road),
                           LD_LIBRARY_PATH=os.path.join(LIB, "softgpu"))
        plant(road, "free", **environment)
        code, text = call(PROGRAM, "search", **environment)
        require(code == 1 and re.search(r": [1-9]\d* words of another tenant", text), f"{road} without zeroing: {text}")


def in_slices(roads):
    """Tenants of one GPU that are promised more than there is: one's memory goes off the device for the other's search."""
    tessera = os.path.join(BIN, "tessera")
    daemon = asked.start_daemon(BIN, "--overcommit", "2")
    slice_of = [tessera, "run", "--mem", f"{MIB * 7 // 8}MiB", "--"]
    for road in roads:
        for way in ("free", "exit", "kill"):
            plant(road, way, prefix=slice_of)
            code, text = call(*slice_of, PROGRAM, "search")
            require(code == 0, f"in a slice after {road}, {way}: {text}")
    # Half of the device is one's that stays; the other wants nearly all of it.
    resident = Resident("linear", slice_of)
    code, text = call(*slice_of, PROGRAM, "search")
    require(code == 0, f"beside a tenant that stays: {text}")
    evicted = [device["evicted_bytes"] for device in asked.devices(tessera).values()]
    require(max(evicted) > 0, f"nothing was moved off the device: {evicted}")
    resident.kill()
    code, text = call(*slice_of, PROGRAM, "search")
    require(code == 0, f"after it was killed while off the device: {text}")
    daemon.terminate()
    daemon.wait()


def cost(folder):
    figures = []
    for zeroing in ("on", "off"):
        code, text = call(PROGRAM, "cost", "9", SOFTGPU_ZEROING=zeroing, SOFTGPU_STATE_DIR=os.path.join(folder, "cost-" + zeroing),
                          LD_LIBRARY_PATH=os.path.join(LIB, "softgpu"))
        require(code == 0, text)
        figures.append(int(re.search(r"(\d+) ns a MiB", text)[1]))
    return figures


def main():
    with asked.own_node(SOFTGPU_MEMORY=f"{MIB}MiB") as folder:
        code, text = call(PROGRAM, "roads", LD_LIBRARY_PATH=os.path.join(LIB, "softgpu"))
        roads = text.split()
        require(code == 0 and len(roads) > 5, text)
        on_the_device_alone(roads)
        found_without_zeroing(roads, folder)
        in_slices(roads)
        clean, dirty = cost(folder)
        print(f"PASS leak_hunt {len(roads)} roads to memory, left in four ways by processes and in five by slices: not a byte; without zeroing "
              f"it is found. Memory taken, filled and freed: {clean} ns a MiB, {dirty} without zeroing")


main()
