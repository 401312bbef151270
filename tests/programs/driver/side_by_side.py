#!/usr/bin/env python3
"""Tenants whose kernels fit together run side by side, each on SMs of its own, and those that do not take turns.

usage: side_by_side.py BIN_DIR PROGRAM    (PROGRAM: driver_side_by_side)

With a daemon and a software GPU of 8 SMs of its own. What decides are the daemon's counts, the SMs that blocks say they ran on, and
the time with a kernel on an SM that the driver measured. A tenant that is hurt by company, as on a busy machine, is alone for a while:
what is waited for may take some seconds.
"""
import os
import sys
import time

import asked
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
PATIENCE = 120  # s
SMS = 8


def devices():
    return asked.devices(TESSERA)


def wait_until(true, what):
    asked.wait_until(true, PATIENCE, lambda: f"{what}: {devices()}")


class Tenant(asked.Program):
    def __init__(self, name, blocks):
        super().__init__(TESSERA, "run", "--name", name, "--mem", "64MiB", "--", PROGRAM, "ask")
        self.blocks(blocks)

    def blocks(self, count):
        require(self.ask(str(count)) == str(count), f"the answer to {count}")

    def seen(self):
        return {int(sm) for sm in self.ask("?").split(",") if sm}


def with_daemon(check, *options):
    daemon = asked.start_daemon(BIN, *options)
    try:
        check()
    finally:
        daemon.terminate()
        daemon.wait()


def together():
    return all(device["side_by_side"] for device in devices().values())


def times():
    return [device["times_side_by_side"] for device in devices().values()]


def gpu_seconds():
    return sum(device["gpu_seconds"] for device in devices().values())


def sms_apart(one, other):
    """A moment's marks may be from before; the next ones are not. In turns both begin with the first SM."""
    one.seen(), other.seen()
    time.sleep(0.05)
    seen = one.seen(), other.seen()
    return all(len(sms) == 1 for sms in seen) and not seen[0] & seen[1]


def busy_beside_each_other():
    before, begin = gpu_seconds(), time.monotonic()
    time.sleep(0.5)
    part = (gpu_seconds() - before) / (time.monotonic() - begin)
    if part < 1.3:  # in turns it is 1 at most
        return False
    print(f"together they were busy for {part:.2f} of the time")
    return True


def both_go_on():
    """For long enough that company would have begun: each has been measured many times over."""
    begin = {name: device["kernels"] for name, device in devices().items()}
    wait_until(lambda: all(device["kernels"] > begin[name] + 1000 for name, device in devices().items()), "both go on")


def check_narrow():
    one, other = Tenant("one", 1), Tenant("other", 1)
    wait_until(together, "narrow tenants run side by side")
    wait_until(lambda: sms_apart(one, other), "each on an SM of its own")
    wait_until(busy_beside_each_other, "both at once")
    require([device["width_sms"] for device in devices().values()] == [1, 1] or not together(), f"widths {devices()}")
    return one, other


def check_wide(one, other):
    for tenant in (one, other):
        tenant.blocks(SMS)
    wait_until(lambda: all(device["width_sms"] is None for device in devices().values()) and not together(),
               "wide tenants are found to be")
    before = times()
    both_go_on()
    require(times() == before and not together(), f"wide tenants run together: {before} {devices()}")
    other.blocks(1)
    both_go_on()
    require(times() == before, f"a wide tenant runs beside another: {before} {devices()}")
    one.blocks(1)
    wait_until(together, "narrow again, side by side again")
    shown = asked.slices(TESSERA)
    require(all(entry["round_the_gate"] == 0 for entry in shown.values()), f"nobody has gone round the gate: {shown}")


def check_on():
    tenants = check_narrow()
    check_wide(*tenants)
    for tenant in tenants:
        tenant.finish()


def check_off():
    one, other = Tenant("one", 1), Tenant("other", 1)
    both_go_on()
    require(times() == [0, 0], f"side by side: {devices()}")
    one.finish(), other.finish()


def main():
    with asked.own_node(SOFTGPU_SMS=str(SMS), SOFTGPU_DEVICES="1", SOFTGPU_MEMORY="1GiB"):
        with_daemon(check_on)
        with_daemon(check_off, "--co-execution", "off")
        # A driver that neither measures nor confines, as NVIDIA's.
        os.environ["SOFTGPU_OWN_TABLES"] = "off"
        with_daemon(check_off)
    print("PASS")


if __name__ == "__main__":
    main()
