#!/usr/bin/env python3
"""What `tessera metrics` prints agrees with what programs count themselves, is documented, and is in order for Prometheus.

usage: metrics.py BIN_DIR PROGRAM METRICS_MD    (PROGRAM: driver_multiprocessors, which launches one kernel for each line that it is asked)

Where promtool is installed it has to find nothing to say.
"""
import os
import re
import shutil
import subprocess
import sys

import asked
from asked import require

BIN, PROGRAM, DOCUMENT = sys.argv[1:4]
TESSERA = os.path.join(BIN, "tessera")
SAMPLE = re.compile(r'^([a-z0-9_]+)(?:\{([^}]*)\})? (\S+)$')


def metrics(*options):
    done = subprocess.run([TESSERA, "metrics", *options], capture_output=True, text=True)
    require(done.returncode == 0, f"metrics: {done.stderr}")
    return done.stdout


def samples(text):
    """By name and labels."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.match(line)
            require(match, f"no sample: {line}")
            found[match[1], match[2] or ""] = float(match[3])
    return found


def check_documented(text):
    with open(DOCUMENT, encoding="utf-8") as file:
        documented = dict(re.findall(r"^\| `([a-z0-9_]+)` \| (counter|gauge|histogram) \|", file.read(), re.MULTILINE))
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        require(documented.get(name) == kind, f"{DOCUMENT} has {name} as {documented.get(name)}, not as a {kind}")


def lint(text):
    promtool = shutil.which("promtool")
    if promtool is None:
        print("promtool is not installed: not linted")
        return
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    require(done.returncode == 0, f"promtool: {done.stdout}{done.stderr}")


def check_counts(folder):
    """Launches count at once; GPU time is told now and then."""
    launches = {"first": 7, "second": 3}
    programs = {name: asked.Program(TESSERA, "run", "--name", name, "--sm", "40", "--mem", "64MiB", "--", PROGRAM, "ask") for name in launches}
    for name, count in launches.items():
        for _ in range(count):
            programs[name].ask("")
    measured = [("tessera_slice_gpu_seconds_total", f'slice="{name}",gpu="0"') for name in launches]
    asked.wait_until(lambda: all(samples(metrics()).get(key, 0) > 0 for key in measured), 20, lambda: f"GPU time: {metrics()}")
    text = metrics()
    found = samples(text)
    for name, count in launches.items():
        here = f'slice="{name}",gpu="0"'
        require(found["tessera_slice_launches_total", here] == count, f"{name}: {text}")
        require(found["tessera_slice_memory_limit_bytes", here] == 64 << 20, f"{name}: {text}")
        require(0 < found["tessera_slice_memory_peak_bytes", here] <= 64 << 20, f"{name}: {text}")
        require(("tessera_slice_memory_driver_bytes", here) in found, f"{name}: {text}")
        require(found["tessera_slice_share_entitled_ratio", here] == 0.4, f"{name}: {text}")
        require(found["tessera_slice_processes", f'slice="{name}"'] == 1, f"{name}: {text}")
    check_documented(text)
    lint(text)
    path = os.path.join(folder, "tessera.prom")
    require(metrics("--output", path) == "", "nothing is printed as well")
    with open(path, encoding="utf-8") as file:
        require(samples(file.read()).keys() == found.keys(), "the file has the same")
    require(os.listdir(folder).count("tessera.prom") == 1 and not any(".prom." in name for name in os.listdir(folder)), f"{os.listdir(folder)}")
    for program in programs.values():
        program.finish()


def check_refusals(folder):
    refused = subprocess.run([TESSERA, "metrics", "--output", os.path.join(folder, "nowhere", "file")], capture_output=True, text=True)
    require(refused.returncode == 1 and "cannot make a file beside" in refused.stderr, f"{refused}")


def main():
    with asked.own_node(SOFTGPU_SMS="2") as folder:
        alone = samples(metrics())
        require(any(name == "tessera_gpu_memory_bytes" for name, _ in alone), f"without a daemon: {alone}")
        with asked.running_daemon(BIN):
            check_counts(folder)
            check_refusals(folder)
    print("PASS")


if __name__ == "__main__":
    main()
