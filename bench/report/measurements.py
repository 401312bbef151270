"""Runs the benchmarks that there are, and gathers their figures: each returns its rows, {name: {figure: value}}."""
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def run(command, what):
    print(f"report: {what} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"report: {what} ended with {done.returncode}: {' '.join(command)}")
    print(f"report: {what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return done.stdout


def written_json(command, what):
    """Of a script that writes it to the file after --json."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "figures.json")
        run([sys.executable, *command, "--json", path], what)
        with open(path, encoding="utf-8") as file:
            return json.load(file)


def program(options, name):
    return os.path.join(options.build, "shares", name)


def shares(options):
    command = [os.path.join(ROOT, "bench/shares/shares.py"), "--bin", options.bin, "--load", program(options, "share_load"),
               "--bare-turns", program(options, "bare_turns"), "--seconds", str(options.seconds), "--rounds", str(options.rounds)]
    return {row["case"]: row for row in written_json(command, "shares")["results"]}


def latency(options):
    command = [os.path.join(ROOT, "bench/shares/latency.py"), "--bin", options.bin, "--load", program(options, "share_load"),
               "--seconds", str(options.seconds), "--rounds", str(options.rounds)]
    rows = {row["case"]: row for row in written_json(command, "latency")}
    for row in rows.values():
        row["added_p99_ms"] = (row["beside_p99_us"] - row["alone_p99_us"]) / 1000
    return rows


def guest(options):
    out = run([os.path.join(ROOT, "bench/bench_guest.sh"), options.build, "--json"], "what the guest adds to a call")
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {row.pop("call"): row for row in rows}


def policies(options):
    checked = json.loads(run([os.path.join(options.bin, "gpu_scheduler"), "check", "--json", "--seeds", "300"], "policies"))
    return {"check": {"decisions_per_s": checked["decisions"] / checked["seconds"], **checked, "broken": len(checked["broken"])}}


def recovery(options):
    command = [os.path.join(ROOT, "tests/programs/driver/shares_recover.py"), options.bin,
               os.path.join(options.build, "programs/driver_side_by_side"), "--restarts", "10", "--kills", "20"]
    return written_json(command, "recovery")


SECTIONS = {
    "shares": (shares, "What tenants had of what they were promised"),
    "latency": (latency, "How long an urgent tenant waits"),
    "guest": (guest, "What a call costs more than without a slice, over a driver that costs nothing"),
    "policies": (policies, "The scheduling policies on a virtual clock, with the simulator that checks them"),
    "recovery": (recovery, "After deaths under load"),
}
