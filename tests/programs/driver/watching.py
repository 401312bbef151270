#!/usr/bin/env python3
"""tessera history, alerts test, report and top over a daemon that has two tenants; top is driven in a terminal by tmux.

usage: watching.py BIN_DIR PROGRAM    (PROGRAM: driver_multiprocessors, which launches one kernel for each line that it is asked)
"""
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import asked
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
RULES = """
rules:
- {name: there, metric: slice_processes, above: 0, severity: info}
- {name: never, metric: slice_memory_used_bytes, above: 1e15}
"""


def tessera(*words):
    return asked.call(TESSERA, *words)


def check_history():
    def recorded():
        found = json.loads(tessera("history", "--json", "--metric", "slice_memory_limit_bytes", "--since", "5m"))
        return {one["labels"]["slice"] for one in found["series"] if len(one["points"]) >= 2}
    asked.wait_until(lambda: recorded() == {"first", "second"}, 40, lambda: f"{recorded()}")
    table = tessera("history", "--metric", "tessera_slice_memory_limit_bytes", "--slice", "first", "--since", "5m").splitlines()
    require(len(table) == 2 and re.search(r"slice_memory_limit_bytes +first +0 +64MiB +64MiB +64MiB +64MiB", table[1]), f"{table}")
    rows = list(csv.DictReader(io.StringIO(tessera("history", "--csv", "--metric", "slice_memory_limit_bytes", "--since", "5m"))))
    require({row["slice"] for row in rows} == {"first", "second"} and all(float(row["mean"]) == 64 << 20 for row in rows), f"{rows}")
    for metrics in (["--metric", "slice_memory_limit_bytes,slice_processes"], ["--metric", "slice_memory_limit_bytes", "--metric", "slice_processes"]):
        found = json.loads(tessera("history", "--json", "--since", "5m", *metrics))
        require({one["metric"] for one in found["series"]} == {"slice_memory_limit_bytes", "slice_processes"}, f"{metrics}: {found}")
    nothing = subprocess.run([TESSERA, "history", "--csv", "--slice", "nobody"], capture_output=True, text=True)
    require(nothing.returncode == 0 and nothing.stdout.count("\n") == 1 and "nothing of that was recorded" in nothing.stderr, f"{nothing}")
    require("gpu_utilization_ratio" in tessera("history", "--list"), "the names")
    wrong = subprocess.run([TESSERA, "history", "--metric", "nothing"], capture_output=True, text=True)
    require(wrong.returncode == 2 and "--list names them" in wrong.stderr, f"{wrong}")


def check_alerts(folder):
    rules = os.path.join(folder, "rules.yaml")
    with open(rules, "w", encoding="utf-8") as file:
        file.write(RULES)
    told = json.loads(tessera("alerts", "test", rules, "--since", "5m", "--json"))
    fired = {change["labels"]["slice"] for change in told["changes"] if change["rule"] == "there" and change["state"] == "firing"}
    require(fired == {"first", "second"} and not any(change["rule"] == "never" for change in told["changes"]), f"{told}")
    require("slice 'first'" in tessera("alerts", "test", rules, "--since", "5m"), "a line of it")
    require(json.loads(tessera("alerts", "list", "--json"))["rules"] == 0, "the daemon has no rules")


def check_report(folder):
    report = json.loads(tessera("report", "--since", "5m", "--json"))
    require(sorted(one["slice"] for one in report["tenants"] if one["gpu"] is not None) == ["first", "second"], f"{report}")
    path = os.path.join(folder, "report.html")
    tessera("report", "--since", "5m", "--output", path)
    with open(path, encoding="utf-8") as file:
        page = file.read()
    require("<svg" in page and "first on GPU 0" in page and "http" not in page.replace("http-equiv", ""), "one file that needs nothing else")
    require("## Tenants" in tessera("report", "--since", "5m"), "Markdown")


def told_launches(name):
    found = [one["launches"] for one in json.loads(tessera("report", "--since", "5m", "--json"))["tenants"] if one["slice"] == name and one["gpu"] == 0]
    return round(found[0], 3) if found else 0


def check_lives():
    """All that a slice did is told: before its first sample, after its last, and between two where it lived no longer."""
    programs = [asked.Program(TESSERA, "run", "--name", f"short{i}", "--mem", "64MiB", "--", PROGRAM, "ask") for i in range(3)]
    for i, program in enumerate(programs):
        for _ in range(i + 1):
            program.ask("")
        program.finish()
    for i in range(3):
        asked.wait_until(lambda: told_launches(f"short{i}") == i + 1, 20, lambda: f"{told_launches(f'short{i}')} launches of short{i}, not {i + 1}")
    launches = asked.devices(TESSERA)["first"]["launches"]
    require(told_launches("first") == launches, f"{told_launches('first')} launches of first, not {launches}")


def check_top_once():
    shown = json.loads(tessera("top", "--once", "--json"))
    require({one["name"] for one in shown["slices"]} == {"first", "second"} and len(shown["gpus"]) == 1, f"{shown}")
    text = tessera("top", "--once")
    require("\x1b" not in text and re.search(r"^first +0 ", text, re.MULTILINE) and "EVENTS" in text, text)
    require("no terminal" in subprocess.run([TESSERA, "top"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stderr, "without a terminal")


class Screen:
    """tessera top in a terminal of 80 by 24 of its own."""

    def __init__(self, folder, *options):
        self.tmux = ["tmux", "-S", os.path.join(folder, "tmux"), "-f", "/dev/null"]
        subprocess.run([*self.tmux, "new-session", "-d", "-x", "80", "-y", "24", "-s", "top", TESSERA, "top", "--interval", "0.2", *options], check=True)

    def text(self, *options):
        return subprocess.run([*self.tmux, "capture-pane", "-p", "-t", "top", *options], capture_output=True, text=True).stdout

    def keys(self, *keys):
        subprocess.run([*self.tmux, "send-keys", "-t", "top", *keys], check=True)

    def wait(self, pattern, missing=False):
        asked.wait_until(lambda: bool(re.search(pattern, self.text(), re.MULTILINE)) != missing, 20, lambda: f"{pattern} in:\n{self.text()}")

    def ended(self):
        return subprocess.run([*self.tmux, "has-session", "-t", "top"], capture_output=True).returncode != 0

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], capture_output=True)


def check_top(folder):
    if shutil.which("tmux") is None:
        print("tmux is not installed: top was not driven")
        return
    screen = Screen(folder)
    try:
        screen.wait(r"^GPU 0 Software GPU +util \[.* queue \d+$")
        screen.wait(r"^SLICE .* STATE$")
        screen.wait(r"^first +0 +")
        screen.wait(r"^second +0 +")
        lines = screen.text().rstrip("\n").split("\n")
        require(len(lines) <= 24 and all(len(line) <= 80 for line in lines), f"{lines}")
        require("\x1b[" in screen.text("-e"), "there are colours")
        screen.keys("s")
        screen.wait("s sort: wait")
        screen.keys("/", "sec", "Enter")
        screen.wait(r"^first", missing=True)
        screen.wait(r"^second")
        screen.keys("j", "Enter")
        screen.wait(r"^slice second, ")
        screen.wait(r"^PROCESSES")
        screen.keys("Escape")
        screen.wait(r"^second +0 +")
        screen.keys("Escape")
        screen.wait(r"^first +0 +")
        screen.keys("?")
        screen.wait("this$")
        screen.keys("q")
        asked.wait_until(screen.ended, 20, lambda: f"it ends:\n{screen.text()}")
    finally:
        screen.close()
    plain = Screen(folder, "--no-color")
    try:
        plain.wait(r"^first +0 +")
        require(not re.search(r"\x1b\[(1|3[0-9])m", plain.text("-e")), plain.text("-e"))
    finally:
        plain.close()


def main():
    with asked.own_node(SOFTGPU_SMS="2", LC_ALL="C.UTF-8") as folder:
        with asked.running_daemon(BIN, "--history", os.path.join(folder, "history")):
            programs = [asked.Program(TESSERA, "run", "--name", name, "--mem", "64MiB", "--", PROGRAM, "ask") for name in ("first", "second")]
            for program in programs:
                program.ask("")
            check_history()
            check_alerts(folder)
            check_report(folder)
            check_lives()
            check_top_once()
            check_top(folder)
            for program in programs:
                program.finish()
        # The file is there without a daemon.
        require("slice_memory_limit_bytes" in tessera("history", "--file", os.path.join(folder, "history"), "--metric", "slice_memory_limit_bytes"), "without a daemon")
        alone = subprocess.run([TESSERA, "history"], capture_output=True, text=True)
        require(alone.returncode == 1 and alone.stderr.count("\n") == 1, f"{alone}")
    print("PASS")


if __name__ == "__main__":
    main()
