#!/usr/bin/env python3
"""Runs a program of Google Benchmark, and prints behind its figures how many times its floor each took, of those that have one.

usage: ratios.py PROGRAM [--repetitions N]

The floor is another benchmark of the same program, which it runs in turns with the others. Medians of N are compared.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

# By program: what a benchmark is called, as what its floor is called, and by which figure they are compared.
FLOORS = {
    "bench_interpreter": [(r"^interpreted_(.*)", r"native_\1", "ns/item")],
    "bench_softgpu_driver": [(r"^BM_Copy\w+/(\d+)", r"BM_Memcpy/\1", "real_time"),
                             (r"^BM_FirstTouchOfDevice(.*)", r"BM_FirstTouchOfFile\1", "real_time"),
                             (r"^(BM_Touch/linear_there_faults:)[12](.*)", r"\g<1>0\2", "real_time")],
}


def medians(path):
    with open(path, encoding="utf-8") as file:
        rows = json.load(file)["benchmarks"]
    return {row["run_name"]: row for row in rows if row.get("aggregate_name", "median") == "median" and not row.get("error_occurred")}


def ratios(program, rows):
    for name, row in rows.items():
        for pattern, floor, figure in FLOORS.get(program, []):
            beside = rows.get(re.sub(pattern, floor, name)) if re.match(pattern, name) else None
            if beside:
                yield name, beside["run_name"], row[figure] / beside[figure]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "figures.json")
        done = subprocess.run([options.program, f"--benchmark_repetitions={options.repetitions}", "--benchmark_enable_random_interleaving=true",
                               "--benchmark_report_aggregates_only=true", f"--benchmark_out={path}", "--benchmark_out_format=json"])
        if done.returncode != 0:
            return 1
        for name, floor, ratio in ratios(os.path.basename(options.program), medians(path)):
            print(f"{name:48} {ratio:9.2f} times {floor}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
