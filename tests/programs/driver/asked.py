"""What the end-to-end checks beside the programs have in common: what they require, and what tesserad says."""
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time


def require(condition, what):
    if not condition:
        sys.exit(f"FAIL {what}")


def call(*command):
    out = subprocess.run(command, capture_output=True, text=True)
    require(out.returncode == 0, f"{command}: {out.stdout}{out.stderr}")
    return out.stdout


def shown(tessera, what):
    out = subprocess.run([tessera, what, "--json"], capture_output=True, text=True)
    require(out.returncode == 0, f"{what}: {out.stderr}")
    return json.loads(out.stdout)


def ps(tessera):
    return shown(tessera, "ps")


def slices(tessera):
    return {entry["name"]: entry for entry in ps(tessera)["slices"]}


def devices(tessera):
    """The first device of each slice, by the slices' names."""
    return {name: entry["devices"][0] for name, entry in slices(tessera).items()}


def used_bytes(tessera):
    """Of all GPUs."""
    return sum(gpu["used_bytes"] for gpu in shown(tessera, "gpus")["gpus"])


def wait_until(true, patience, what):
    """Seconds that it took; `what` says, when asked, what did not come in `patience` seconds."""
    begin = time.monotonic()
    while not true():
        if time.monotonic() >= begin + patience:
            require(False, what())
        time.sleep(0.05)
    return time.monotonic() - begin


@contextlib.contextmanager
def own_node(**environment):
    """A folder that a daemon and software GPUs of one's own live in, as `environment` says; all that is started from here uses them."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=os.path.join(folder, "softgpu"),
                          TESSERA_DRIVER="software", **environment)
        os.environ.pop("TESSERA_SLICE", None)
        yield folder


def listens(environment=os.environ):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        return client.connect_ex(environment["TESSERA_SOCKET"]) == 0


def start_daemon(bin_dir, *options, environment=os.environ, log=None):
    """Until it listens: without one `tessera` answers, too, or starts one of its own, which outlives the check."""
    daemon = subprocess.Popen([os.path.join(bin_dir, "tesserad"), "--foreground", *options], env=environment, stderr=log)
    deadline = time.monotonic() + 10
    while not listens(environment):
        require(daemon.poll() is None and time.monotonic() < deadline, "the daemon starts")
        time.sleep(0.02)
    return daemon


@contextlib.contextmanager
def running_daemon(bin_dir, *options, log=None):
    """One that ends with the block; what it logs is in the file `log`."""
    daemon = start_daemon(bin_dir, *options, log=log)
    try:
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait()


def http_port(tessera):
    """Where the daemon answers over HTTP; None where it does not."""
    out = subprocess.run([tessera, "doctor", "--json"], capture_output=True, text=True)
    require(out.returncode == 0, f"doctor: {out.stdout}{out.stderr}")
    found = re.search(r"answers on http://[0-9.:\[\]]+:([0-9]+)", out.stdout)
    return found and int(found[1])


class Program:
    """One that does what lines on its standard input say, answers each, and says PASS at their end."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def finish(self):
        out, _ = self.process.communicate()
        require(self.process.returncode == 0 and out.startswith("PASS"), f"{self.process.returncode} {out}")
