#!/usr/bin/env python3
"""A program that fails on the GPU again and again has to wait for its next slice, where the daemon is told to see to it.

usage: refuse_faulty.py BIN_DIR PROGRAM

PROGRAM touches memory that it may not.
"""
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

        daemon = subprocess.Popen([os.path.join(BIN, "tesserad"), "--foreground", "--refuse-faulty"], stderr=subprocess.DEVNULL)
        while not os.path.exists(os.environ["TESSERA_SOCKET"]):
            time.sleep(0.01)
        for _ in range(3):
            run("--", PROGRAM)
            with open(summary, encoding="utf-8") as file:
                require(json.load(file)["devices"][0]["fault"] == ILLEGAL_ADDRESS, "the failure is seen")
        # The fourth makes it wait for half a second at least: until it waits it fails on.
        for _ in range(12):
            refused = run("--", PROGRAM)
            if "has failed on the GPU" in refused.stderr:
                break
        require(refused.returncode == 125 and "times in a row, last with CUDA error 700; it may start again in" in refused.stderr,
                f"{refused}")
        require(run("--", "true").returncode == 0, "another program is not meant")
        require(run("--name", "other", "--", PROGRAM).returncode != 125, "nor is another name")
        daemon.terminate()
        require(daemon.wait() == 0, "the daemon ends well")
    print("PASS")


main()
