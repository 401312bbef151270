#!/usr/bin/env python3
"""One of two software GPUs falls off the bus: `tessera gpus` and `tessera doctor` show it as lost, and the other as it is.

usage: lost_gpu.py BIN_DIR
"""
import json
import os
import subprocess
import sys
import tempfile
import time

BIN = sys.argv[1]


def tessera(*words):
    return subprocess.run([os.path.join(BIN, "tessera"), *words], capture_output=True, text=True)


def require(condition, what):
    if not condition:
        sys.exit(f"FAIL {what}")


def states():
    shown = tessera("gpus", "--json")
    require(shown.returncode == 0, f"gpus --json ended with {shown.returncode}: {shown.stderr}")
    return json.loads(shown.stdout)["gpus"]


def look(where):
    """With a daemon or without one."""
    first, second = states()
    require(first["state"] == "ok" and first["total_bytes"] > 0 and first["used_bytes"] is not None, f"{where}: {first}")
    require(second["state"] == "lost" and "lost" in second["problem"] and second["used_bytes"] is None, f"{where}: {second}")
    require(second["uuid"] and second["name"], f"{where}: {second}")
    shown = tessera("gpus")
    require(shown.returncode == 0 and "GPU 1 is lost: " in shown.stderr and " lost " in shown.stdout, f"{where}: {shown}")
    doctor = tessera("doctor", "--json")
    check = next(check for check in json.loads(doctor.stdout)["checks"] if check["name"] == "gpus")
    require(check["state"] == "note" and check["detail"].startswith("1 (") and "GPU 1 is lost" in check["detail"], f"{where}: {check}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "softgpu")
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=state, SOFTGPU_DEVICES="2",
                          TESSERA_DRIVER="software")
        os.environ.pop("TESSERA_SLICE", None)
        require([gpu["state"] for gpu in states()] == ["ok", "ok"], "both work at first")
        control = os.path.join(state, "gpu1.control")
        with open(os.open(control, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
            file.write("lost\n")
        time.sleep(0.3)  # a command takes effect within a tenth of a second
        look("without a daemon")
        ran = tessera("run", "--mem", "64MiB", "--", "true")  # starts the daemon, and takes the GPU that works
        require(ran.returncode == 0, f"run: {ran.stderr}")
        look("with a daemon")
        refused = tessera("run", "--gpu", "1", "--mem", "64MiB", "--", "true")
        require(refused.returncode != 0 and "GPU 1" in refused.stderr, f"a slice of the lost GPU: {refused}")
        with open(control, "a", encoding="utf-8") as file:
            file.write("clear\n")
        time.sleep(0.3)
        require([gpu["state"] for gpu in states()] == ["ok", "ok"], "both work again")
        with open(os.environ["TESSERA_SOCKET"] + ".pid", encoding="utf-8") as file:
            os.kill(int(file.read()), 15)
    print("PASS")


main()
