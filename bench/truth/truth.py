#!/usr/bin/env python3
"""How near the daemon's GPU time is to what programs measure themselves by events, and what of a device's busy time tenants' GPU time adds up to.

usage: truth.py --bin BIN_DIR --program driver_timed --busy device_busy [--seconds S]

On a software GPU of one SM, where the device's busy time is the time with any kernel on it. Promised are 1 % and 2 %.

A pair of events around all kernels, in a stream that is idle when the first event is recorded, holds what it takes until the first
kernel runs, too, in which the device is idle. What lies between the events behind the first and the last kernel of a queue leaves the
first kernel out, which takes longer than the others where the program still launches on the same processors. GPU time has to lie
between the two, and is told beside both.

How long the device idles between two kernels that have an event between them is told as well: it would be events' time and no GPU time.
It comes out below 0 where the first kernel is longer than the others. The same of the program alone on the device shows what of it is
Tessera's.
"""
import argparse
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "programs", "driver"))
import asked  # noqa: E402

# How many kernels at once, and of how many steps.
WORK = {"short kernels": (1000, 2_000), "long kernels": (100, 200_000)}


def fields(text):
    return {name: float(number) for name, number in (pair.split("=") for pair in text.split(","))}


def busy_ns(program):
    return int(subprocess.run([program], capture_output=True, text=True, check=True).stdout)


def start(tessera, name, program):
    return asked.Program(tessera, "run", "--slice", name, "--", program, "ask")


def work(program, line, seconds, told):
    """Events and kernels of about so many seconds."""
    once = fields(program.ask(line))
    rounds = max(1, int(seconds * 1e9 / max(once["event_ns"], 1)))
    told.append(once)
    for _ in range(rounds):
        told.append(fields(program.ask(line)))


def gpu_ns(tessera, names):
    return sum(asked.devices(tessera)[name]["gpu_seconds"] for name in names) * 1e9


def wait_for_end(tessera):
    asked.wait_until(lambda: not any(entry["processes"] for entry in asked.slices(tessera).values()), 30, lambda: "programs end")


def measure(options, tessera, line, names):
    """What each answered, what was told of them together, and what the device had, in ns."""
    before, busy_before = gpu_ns(tessera, names), busy_ns(options.busy)
    programs = {name: start(tessera, name, options.program) for name in names}
    answers = {name: [] for name in names}
    threads = [threading.Thread(target=work, args=(programs[name], line, options.seconds / len(names), answers[name])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for program in programs.values():
        program.finish()
    wait_for_end(tessera)
    return [one for all in answers.values() for one in all], gpu_ns(tessera, names) - before, busy_ns(options.busy) - busy_before


def percent(told, measured):
    return f"{100 * (told / measured - 1):+.2f} %"


def idle_us(answers, kernels, busy):
    """From one kernel's end to the next one's begin, by events behind each, where the device was busy for so long in all."""
    queued = sum(one["queued_ns"] for one in answers)
    return (queued - busy * (kernels - 1) / kernels) / len(answers) / (kernels - 1) / 1e3


def check_alone(options, what, kernels, steps):
    """The same program on the bare device."""
    before, answers = busy_ns(options.busy), []
    driver = os.path.join(options.bin, "..", "lib", "softgpu")
    program = asked.Program("env", f"LD_LIBRARY_PATH={driver}", options.program, "ask")
    work(program, f"{kernels} {steps} each", options.seconds, answers)
    program.finish()
    busy = busy_ns(options.busy) - before
    queued = sum(one["queued_ns"] for one in answers)
    print(f"{what}, without Tessera, an event behind each: without the first kernel {queued / 1e9:.3f} s, device busy {busy / 1e9:.3f} s "
          f"({percent(busy, queued)}); idle between kernels {idle_us(answers, kernels, busy):.2f} us each")


def check_one(options, tessera, what, kernels, steps):
    answers, told, busy = measure(options, tessera, f"{kernels} {steps} each", ["first"])
    queued, around = (sum(one[which] for one in answers) for which in ("queued_ns", "event_ns"))
    print(f"{what}, one tenant, an event behind each: without the first kernel {queued / 1e9:.3f} s ({percent(told, queued)}), with it and "
          f"what is before it {around / 1e9:.3f} s ({percent(told, around)}); GPU time told {told / 1e9:.3f} s, device busy {busy / 1e9:.3f} s "
          f"({percent(told, busy)}); idle between kernels {idle_us(answers, kernels, busy):.2f} us each")
    answers, told, _ = measure(options, tessera, f"{kernels} {steps}", ["first"])
    around = sum(one["event_ns"] for one in answers)
    print(f"{what}, one tenant, events around {kernels} in an idle stream: {around / 1e9:.3f} s, GPU time told {told / 1e9:.3f} s "
          f"({percent(told, around)})")


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
            for what, (kernels, steps) in WORK.items():
                check_one(options, tessera, what, kernels, steps)
                check_alone(options, what, kernels, steps)
            for what, (kernels, steps) in WORK.items():
                _, told, busy = measure(options, tessera, f"{kernels} {steps}", ["first", "second"])
                print(f"{what}, two tenants: GPU time told {told / 1e9:.3f} s, device busy {busy / 1e9:.3f} s ({percent(told, busy)})")
            for name in ("first", "second"):
                asked.call(tessera, "slice", "delete", name)


if __name__ == "__main__":
    main()
