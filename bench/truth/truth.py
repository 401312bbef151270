#!/usr/bin/env python3
"""How near the daemon's GPU time is to what programs measure themselves by events, and what of a device's busy time tenants' GPU time adds up to.

usage: truth.py --bin BIN_DIR --program driver_timed --busy device_busy [--seconds S]

On a software GPU of one SM, where the device's busy time is the time with any kernel on it. Promised are 1 % and 2 %.
"""
import argparse
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "programs", "driver"))
import asked  # noqa: E402

STEPS = {"short kernels": 2_000, "long kernels": 200_000}
KERNELS = 100  # between two events


def fields(text):
    return {name: float(number) for name, number in (pair.split("=") for pair in text.split(","))}


def busy_ns(program):
    return int(subprocess.run([program], capture_output=True, text=True, check=True).stdout)


def start(tessera, name, program):
    return asked.Program(tessera, "run", "--slice", name, "--", program, "ask")


def work(program, steps, seconds, told):
    """Events and kernels of about so many seconds."""
    once = fields(program.ask(f"{KERNELS} {steps}"))
    rounds = max(1, int(seconds * 1e9 / max(once["event_ns"], 1)))
    told.append(once)
    for _ in range(rounds):
        told.append(fields(program.ask(f"{KERNELS} {steps}")))


def gpu_ns(tessera, names):
    return sum(asked.devices(tessera)[name]["gpu_seconds"] for name in names) * 1e9


def wait_for_end(tessera):
    asked.wait_until(lambda: not any(entry["processes"] for entry in asked.slices(tessera).values()), 30, lambda: "programs end")


def measure(options, tessera, steps, names):
    """What each measured itself, what was told of them together, and what the device had, in ns."""
    before, busy_before = gpu_ns(tessera, names), busy_ns(options.busy)
    programs = {name: start(tessera, name, options.program) for name in names}
    told = {name: [] for name in names}
    threads = [threading.Thread(target=work, args=(programs[name], steps, options.seconds / len(names), told[name])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for program in programs.values():
        program.finish()
    wait_for_end(tessera)
    return sum(one["event_ns"] for all in told.values() for one in all), gpu_ns(tessera, names) - before, busy_ns(options.busy) - busy_before


def main():
    parser = argparse.ArgumentParser()
    for name in ("--bin", "--program", "--busy"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    tessera = os.path.join(options.bin, "tessera")
    with asked.own_node(SOFTGPU_SMS="1"):
        with asked.running_daemon(options.bin):
            for name in ("first", "second"):
                asked.call(tessera, "slice", "create", name, "--mem", "64MiB")
            for what, steps in STEPS.items():
                events, told, busy = measure(options, tessera, steps, ["first"])
                print(f"{what}, one tenant: its events {events / 1e9:.3f} s, GPU time told {told / 1e9:.3f} s ({100 * (told / events - 1):+.2f} %), "
                      f"device busy {busy / 1e9:.3f} s ({100 * (told / busy - 1):+.2f} %)")
            for what, steps in STEPS.items():
                _, told, busy = measure(options, tessera, steps, ["first", "second"])
                print(f"{what}, two tenants: GPU time told {told / 1e9:.3f} s, device busy {busy / 1e9:.3f} s ({100 * (told / busy - 1):+.2f} %)")
            for name in ("first", "second"):
                asked.call(tessera, "slice", "delete", name)


if __name__ == "__main__":
    main()
