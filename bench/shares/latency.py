#!/usr/bin/env python3
"""How long an urgent tenant waits while others keep the GPU busy, against the time it takes alone.

usage: latency.py --bin BIN --load PROGRAM [--seconds 5] [--rounds 3] [--urgent "--priority high"] [--json FILE]

The device has one SM on one processor and the programs have the others, so that what is measured is the device's turns and
not the programs' fight for processors (it needs two processors at least). `--urgent` are the urgent tenant's options, as
"--slo p99=2ms", or "" for none. It launches a kernel, waits for it,
and thinks for 20 ms, over and over.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

# name: steps of the urgent tenant's kernel, steps of the others' kernels
CASES = {
    "kernels of 10 ms": ("4200000", ("20000", "5000000")),
    "short kernels": ("1000", ("20000", "5000000")),
    "short kernels against one of 0.5 s": ("1000", ("200000000",)),
}
START_S = 2.0


def start(arguments, environment, options, load, begin_ns):
    command = ["taskset", "-c", arguments.host, os.path.join(arguments.bin, "tessera"), "run", "--mem", "64MiB", *options, "--",
               arguments.load, "--begin", str(begin_ns), "--seconds", str(arguments.seconds), *load]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def urgent_figures(arguments, environment, steps, others):
    begin_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(START_S * 1e9)
    urgent = start(arguments, environment, arguments.urgent.split(),
                   ["--mode", "sync", "--steps", steps, "--think-us", "20000"], begin_ns)
    rest = [start(arguments, environment, [], ["--steps", other], begin_ns) for other in others]
    figures = json.loads(urgent.communicate()[0])
    for process in rest:
        process.communicate()
    if any(process.returncode != 0 for process in [urgent, *rest]):
        raise SystemExit("a tenant failed")
    return figures


def measure(arguments, environment, name):
    steps, others = CASES[name]
    rounds = []
    for _ in range(arguments.rounds):
        alone = urgent_figures(arguments, environment, steps, ())
        beside = urgent_figures(arguments, environment, steps, others)
        rounds.append([alone["p50_us"], alone["p99_us"], beside["p50_us"], beside["p99_us"]])
    keys = ("alone_p50_us", "alone_p99_us", "beside_p50_us", "beside_p99_us")
    result = dict(zip(keys, (statistics.median(values) for values in zip(*rounds))))
    return {"case": name, **result, "p99_ratio": result["beside_p99_us"] / result["alone_p99_us"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--urgent", default="--priority high")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    arguments.bin, arguments.load = os.path.abspath(arguments.bin), os.path.abspath(arguments.load)
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        sys.exit("latency.py: two processors are needed, one for the device and one for the programs")
    arguments.host = ",".join(map(str, processors[:-1]))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, SOFTGPU_STATE_DIR=os.path.join(folder, "gpu"), SOFTGPU_SMS="1",
                           SOFTGPU_CPUS=str(processors[-1]), TESSERA_SOCKET=os.path.join(folder, "socket"),
                           TESSERA_DRIVER="software")
        for name in CASES:
            result = measure(arguments, environment, name)
            results.append(result)
            print(f"{name:36} alone p50 {result['alone_p50_us']:8.0f} us, p99 {result['alone_p99_us']:8.0f} us   beside others "
                  f"p50 {result['beside_p50_us']:8.0f} us, p99 {result['beside_p99_us']:8.0f} us   p99 x {result['p99_ratio']:.2f}",
                  flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
