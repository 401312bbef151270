#!/usr/bin/env python3
"""Measures what is promised about sharing a GPU, and writes a report: report.md, report.html, plots, and all figures as JSON.

usage: bench_report.py --bin BIN --build BUILD --out FOLDER [--seconds 5] [--rounds 3] [--only SECTION] [--strict]

A figure that misses its promise is shown as missed; it ends the program with an error only with --strict, as machines differ. Sections
that are left out are said to be unmeasured.
"""
import argparse
import datetime
import json
import os
import platform
import subprocess
import sys

import measurements
from document import Document
from promises import PROMISES


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    version = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=measurements.ROOT).stdout
    return {"processor": model, "processors": len(os.sched_getaffinity(0)), "kernel": platform.release(), "load": os.getloadavg()[0],
            "version": version.strip() or "unknown", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def figure(measured, promise):
    """None where it was not measured."""
    row, _, name = promise.figure.rpartition(".")
    return measured.get(promise.section, {}).get(row, {}).get(name)


def add_promises(document, measured):
    rows, classes = [], []
    for promise in PROMISES:
        value = figure(measured, promise)
        verdict = "not measured" if value is None else "held" if promise.holds(value, promise.bound) else "missed"
        rows.append([promise.what, promise.text(), "" if value is None else value, verdict])
        classes.append(verdict.replace(" ", "-"))
    document.heading("Promises")
    document.table(["promise", "asked", "measured", ""], rows, classes)
    return classes


def draw_shares(rows):
    def draw(axes):
        names = list(rows)
        for at, name in enumerate(names):
            left = 0
            for tenant, (got, want) in enumerate(zip(rows[name]["achieved"], rows[name]["promised"])):
                axes.barh(at, got, left=left, height=0.5, color=f"C{tenant % 10}")
                left += got
                axes.plot([sum(rows[name]["promised"][: tenant + 1])] * 2, [at - 0.4, at + 0.4], color="black", linewidth=1.5)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("percent of what all tenants got; black: where their shares are said to end")

    return draw


def draw_latency(rows):
    def draw(axes):
        names = list(rows)
        for at, (key, label) in enumerate((("alone_p50_us", "alone, p50"), ("alone_p99_us", "alone, p99"),
                                           ("beside_p50_us", "beside others, p50"), ("beside_p99_us", "beside others, p99"))):
            axes.barh([i + 0.2 * at - 0.3 for i in range(len(names))], [rows[name][key] / 1000 for name in names], height=0.18, label=label)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("ms from launch to end")
        axes.legend()

    return draw


def add_section(document, name, rows):
    document.heading(measurements.SECTIONS[name][1])
    columns = sorted({key for row in rows.values() for key, value in row.items() if isinstance(value, (int, float))})
    document.table(["", *columns], [[row, *(rows[row].get(column, "") for column in columns)] for row in rows])
    if name == "shares":
        few = {case: row for case, row in rows.items() if len(row["promised"]) <= 8}
        document.plot("shares", draw_shares(few), 1 + 0.4 * len(few))
    if name == "latency":
        document.plot("latency", draw_latency(rows), 1 + 0.8 * len(rows))


def write(folder, options, about, measured):
    document = Document("Sharing a GPU: promised and measured")
    document.paragraph(f"Tessera {about['version']}, {about['date']}, {about['processors']} x {about['processor']}, Linux {about['kernel']}, "
                       f"load {about['load']:.1f} at the start. Software GPU. Medians of {options.rounds} rounds of {options.seconds:g} s.")
    verdicts = add_promises(document, measured)
    for name, rows in measured.items():
        add_section(document, name, rows)
    os.makedirs(folder, exist_ok=True)
    for name, text in document.files().items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    with open(os.path.join(folder, "figures.json"), "w", encoding="utf-8") as file:
        json.dump({"about": about, "seconds": options.seconds, "rounds": options.rounds, "measured": measured}, file, indent=1)
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(measurements.SECTIONS))
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    options.bin, options.build = os.path.abspath(options.bin), os.path.abspath(options.build)
    about, measured = machine(), {}
    for name in options.only or measurements.SECTIONS:
        measured[name] = measurements.SECTIONS[name][0](options)
        verdicts = write(options.out, options, about, measured)  # as far as it has come: whoever stops it keeps that
    print(f"{verdicts.count('held')} promises held, {verdicts.count('missed')} missed, {verdicts.count('not-measured')} not measured: "
          f"{os.path.join(options.out, 'report.html')}")
    return 1 if options.strict and "missed" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
