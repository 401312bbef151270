#!/usr/bin/env python3
"""A GPU whose memory has an uncorrectable error, or that the driver says has failed otherwise, gets no new programs until
somebody says that it is well, or it is reset; a restart of the daemon does not open it.

usage: quarantine.py BIN_DIR PROGRAM

PROGRAM is one that uses the GPU's memory.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

BIN, PROGRAM = sys.argv[1:]


def tessera(*words):
    return subprocess.run([os.path.join(BIN, "tessera"), *words], capture_output=True, text=True)


def require(condition, what):
    if not condition:
        sys.exit(f"FAIL {what}")


def gpu(index):
    shown = tessera("gpus", "--json")
    require(shown.returncode == 0, f"gpus --json ended with {shown.returncode}: {shown.stderr}")
    return json.loads(shown.stdout)["gpus"][index]


def daemon_pid():
    with open(os.environ["TESSERA_SOCKET"] + ".pid", encoding="utf-8") as file:
        return int(file.read())


def command(folder, index, text):
    with open(os.open(os.path.join(folder, f"gpu{index}.control"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
        file.write(text + "\n")
    time.sleep(0.3)  # a command takes effect within a tenth of a second


def break_memory(folder):
    command(folder, 0, "ecc double")
    require(gpu(0)["state"] == "ok", "nothing shows before the memory is touched")
    failed = tessera("run", "--gpu", "0", "--", PROGRAM)
    require(failed.returncode != 0, "the program that touches it fails")
    require(gpu(0)["state"] == "quarantined", f"{gpu(0)}")


def hear_xids(folder):
    """While a slice lives the driver's events are heard as they come."""
    slice_ = subprocess.Popen([os.path.join(BIN, "tessera"), "run", "--gpu", "1", "--", "sh", "-c", "read line"], stdin=subprocess.PIPE)
    time.sleep(1)  # for whoever listens to be there
    command(folder, 0, "xid 31")
    command(folder, 0, "xid 119")
    deadline = time.monotonic() + 20
    while gpu(0)["state"] == "ok" and time.monotonic() < deadline:
        command(folder, 0, "xid 119")  # nobody may have listened yet
    require("XID 119 (system processor does not answer)" in gpu(0).get("problem", ""), f"{gpu(0)}")
    slice_.communicate(b"\n")
    require(tessera("gpus", "--forgive", "0").returncode == 0 and gpu(0)["state"] == "ok", f"{gpu(0)}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "softgpu")
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=state, SOFTGPU_DEVICES="2",
                          TESSERA_DRIVER="software")
        os.environ.pop("TESSERA_SLICE", None)
        well = tessera("run", "--gpu", "0", "--", PROGRAM)  # starts the daemon, which sees the GPU well
        require(well.returncode == 0, f"run: {well.stderr}")
        running = subprocess.Popen([os.path.join(BIN, "tessera"), "run", "--gpu", "0", "--name", "before", "--", "sh", "-c",
                                    f"read line; exec '{PROGRAM}'"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        break_memory(state)
        require("1 uncorrectable memory error (XID 48)" in gpu(0)["problem"], f"{gpu(0)}")
        shown = tessera("gpus")
        require("GPU 0 is quarantined: " in shown.stderr and " quarantined " in shown.stdout, f"{shown}")
        # Another daemon, after this one was killed.
        os.kill(daemon_pid(), 9)
        require(tessera("run", "--gpu", "1", "--", "true").returncode == 0, "starts a daemon")
        require(gpu(0)["state"] == "quarantined" and "1 uncorrectable" in gpu(0)["problem"], f"after a restart: {gpu(0)}")
        refused = tessera("run", "--gpu", "0", "--", "true")
        require(refused.returncode == 125 and "GPU 0 is quarantined: 1 uncorrectable" in refused.stderr
                and "tessera gpus --forgive 0" in refused.stderr, f"{refused}")
        other = tessera("run", "--json-summary", os.path.join(folder, "summary"), "--", "true")
        require(other.returncode == 0, f"{other}")
        with open(os.path.join(folder, "summary"), encoding="utf-8") as file:
            require(json.load(file)["devices"][0]["gpu"] == 1, "a program that names no GPU gets the other")
        running.communicate("\n")
        require(running.returncode != 0, "a new process of an old slice gets it neither")

        require(tessera("gpus", "--forgive", "1").returncode == 1, "GPU 1 is well")
        forgiven = tessera("gpus", "--forgive", "0")
        require(forgiven.returncode == 0 and gpu(0)["state"] == "ok", f"{forgiven}")
        again = tessera("run", "--gpu", "0", "--", PROGRAM)
        require(again.returncode == 0, f"{again}")

        hear_xids(state)
        break_memory(state)
        command(state, 0, "clear")
        require(gpu(0)["state"] == "ok", f"after a reset: {gpu(0)}")
        require(tessera("run", "--gpu", "0", "--", PROGRAM).returncode == 0, "and it is given to programs")
        os.kill(daemon_pid(), 15)
    print("PASS")


main()
