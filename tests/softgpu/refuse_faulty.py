#!/usr/bin/env python3
"""A program that fails on the GPU again and again has to wait for its next slice, where the daemon is told to see to it; another daemon
knows of it, and it can be forgiven.

usage: refuse_faulty.py BIN_DIR PROGRAM

PROGRAM touches memory that it may not.
"""
import atexit
import json
import os
import subprocess
import sys
import tempfile
import time

BIN, PROGRAM = sys.argv[1:]
ILLEGAL_ADDRESS = 700


def require(condition, what):
    if not condition:
        sys.exit(f"FAIL {what}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=os.path.join(folder, "softgpu"),
                          TESSERA_DRIVER="software")
        os.environ.pop("TESSERA_SLICE", None)
        summary = os.path.join(folder, "summary")

        def run(*words):
            return subprocess.run([os.path.join(BIN, "tessera"), "run", "--json-summary", summary, *words], capture_output=True,
                                  text=True)

        def ps(*words):
            return subprocess.run([os.path.join(BIN, "tessera"), "ps", *words], capture_output=True, text=True)

        def failing(name):
            return [tenant for tenant in json.loads(ps("--json").stdout)["failing"] if tenant["name"] == name]

        def start_daemon():
            started = subprocess.Popen([os.path.join(BIN, "tesserad"), "--foreground", "--refuse-faulty"], stderr=subprocess.DEVNULL)
            while "no program" not in ps("--forgive", "nobody").stderr:  # until it listens
                time.sleep(0.02)
            return started

        name = os.path.basename(PROGRAM)
        daemons = [start_daemon()]
        atexit.register(lambda: daemons[-1].kill())  # also where a check fails
        for _ in range(3):
            run("--", PROGRAM)
            with open(summary, encoding="utf-8") as file:
                require(json.load(file)["devices"][0]["fault"] == ILLEGAL_ADDRESS, "the failure is seen")
        require(not failing(name)[0]["isolated"], f"{failing(name)}")
        # The fourth makes it wait for half a second at least: until it waits it fails on.
        for _ in range(12):
            refused = run("--", PROGRAM)
            if "has failed on the GPU" in refused.stderr:
                break
        require(refused.returncode == 125 and "times in a row, last with CUDA error 700; it may start again in" in refused.stderr,
                f"{refused}")
        known = failing(name)
        require(known[0]["isolated"] and known[0]["latest_error"] == ILLEGAL_ADDRESS, f"{known}")
        require("CUDA_ERROR_ILLEGAL_ADDRESS; it runs beside nobody" in ps().stderr, f"{ps()}")
        require(run("--", "true").returncode == 0, "another program is not meant")
        require(run("--name", "other", "--", PROGRAM).returncode != 125, "nor is another name")

        # In a slice that stays more than its first failure counts.
        require(subprocess.run([os.path.join(BIN, "tessera"), "slice", "create", "stays"]).returncode == 0, "slice create")
        for _ in range(4):
            run("--slice", "stays", "--", PROGRAM)
        require(failing("stays")[0]["faults"] >= 4, f"{failing('stays')}")
        slices = json.loads(ps("--json").stdout)["slices"]
        require(slices[0]["name"] == "stays" and slices[0]["isolated"], f"{slices}")

        daemons[-1].kill()
        daemons[-1].wait()
        daemons.append(start_daemon())
        again = failing(name)
        require(again and again[0]["faults"] == known[0]["faults"] and again[0]["isolated"], f"after a restart: {again}")
        require(json.loads(ps("--json").stdout)["slices"][0]["isolated"], "and its slice is")
        forgiven = ps("--forgive", name)
        require(forgiven.returncode == 0 and not failing(name), f"{forgiven}")
        require(run("--", PROGRAM).returncode != 125, "it is given a slice again, and fails in it")
        require(subprocess.run([os.path.join(BIN, "tessera"), "slice", "delete", "stays"]).returncode == 0, "slice delete")
        daemons[-1].terminate()
        require(daemons[-1].wait() == 0, "the daemon ends well")
    print("PASS")


main()
