"""What the end-to-end checks beside the programs have in common: what they require, and what tesserad says."""
import json
import subprocess
import sys
import time


def require(condition, what):
    if not condition:
        sys.exit(f"FAIL {what}")


def ps(tessera):
    shown = subprocess.run([tessera, "ps", "--json"], capture_output=True, text=True)
    require(shown.returncode == 0, f"ps: {shown.stderr}")
    return json.loads(shown.stdout)


def slices(tessera):
    return {entry["name"]: entry for entry in ps(tessera)["slices"]}


def devices(tessera):
    """The first device of each slice, by the slices' names."""
    return {name: entry["devices"][0] for name, entry in slices(tessera).items()}


def wait_until(true, patience, what):
    """Seconds that it took; `what` says, when asked, what did not come in `patience` seconds."""
    begin = time.monotonic()
    while not true():
        if time.monotonic() >= begin + patience:
            require(False, what())
        time.sleep(0.05)
    return time.monotonic() - begin
