#!/usr/bin/env python3
"""Bytes of copies follow weights where two tenants of a GPU copy at the same time; who is alone is never held.

usage: copy_shares.py BIN_DIR COPIER    (driver_copy_shares)

With a daemon and a software GPU of its own. The daemon's counts of bytes and of waits decide.
"""
import os
import subprocess
import sys
import time

from asked import devices, own_node, require

BIN, COPIER = sys.argv[1:]
TESSERA = os.path.join(BIN, "tessera")
ENOUGH = 256 << 20  # bytes of the lighter tenant
PATIENCE_S = 60


class Tenant:
    def __init__(self, name, *options):
        self.name = name
        self.process = subprocess.Popen([TESSERA, "run", "--name", name, "--mem", "256MiB", *options, "--", COPIER],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        require(self.process.stdout.readline() == "ready\n", f"{name} is ready")

    def say(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        out, _ = self.process.communicate("\n")
        require(self.process.returncode == 0 and out.startswith("PASS"), f"{self.name}: {self.process.returncode} {out}")


def shown(tenants):
    found = devices(TESSERA)
    return [found[tenant.name] for tenant in tenants]


def copied_meanwhile(tenants):
    """Bytes to the GPU of each, from when both copy until the last one has copied enough."""
    end = time.monotonic() + PATIENCE_S
    begin = None
    while time.monotonic() < end:
        time.sleep(0.2)
        now = [device["bytes_to_device"] for device in shown(tenants)]
        if begin is None:
            begin = now if all(now) else None
        elif now[-1] - begin[-1] >= ENOUGH:
            return [after - before for after, before in zip(now, begin)]
    sys.exit(f"FAIL: in {PATIENCE_S} s the lighter tenant has not copied {ENOUGH} bytes")


def alone(options):
    resting, copier = Tenant("resting"), Tenant("copier", *options)
    copier.say()
    copied = copied_meanwhile([copier])[0]
    waits = shown([copier])[0]["copy_wait_ns"]
    resting.say()
    resting.end()
    copier.end()
    return copied, waits


def together(heavy_options, light_options):
    tenants = [Tenant("heavy", *heavy_options), Tenant("light", *light_options)]
    for tenant in tenants:
        tenant.say()
    heavy, light = copied_meanwhile(tenants)
    waits = [device["copy_wait_ns"] for device in shown(tenants)]
    for tenant in tenants:
        tenant.end()
    return heavy / light, waits


def main():
    with own_node(SOFTGPU_SMS="1", SOFTGPU_DEVICES="1"):
        copied, waits = alone(["--mem-weight", "10"])
        print(f"alone: {copied >> 20} MiB, {waits} waits")
        require(waits == 0, "who is alone is not held")
        ratio, waits = together((), ())
        print(f"without weights: {ratio:.2f} : 1, waits {waits}")
        require(waits == [0, 0], "without weights nobody is held")
        ratio, waits = together(("--mem-weight", "300"), ("--mem-weight", "100"))
        print(f"weights 3 : 1: bytes {ratio:.2f} : 1, waits {waits}")
        require(waits[1] > 0, "the lighter one is held")
        # How much more depends on the processors that the two have; copy_shares_test holds it to the weights.
        require(ratio > 1, f"weights of 3 : 1 made {ratio:.2f} : 1")
        held = alone(["--copy-max", "64MiB"])
        print(f"alone, with a bound: {held[0] >> 20} MiB, {held[1]} waits")
        require(held[1] > 0, "a bound holds who is alone")
    print("PASS")


main()
