#!/usr/bin/env python3
"""What has left a GPU is kept in the memory of an idle neighbour: each byte is right, the program knows nothing of it, the neighbour's own get
their memory back when they want it, and whoever is killed leaves nothing there.

usage: neighbour.py BIN_DIR LARGER_TOGETHER HIDDEN LEAK_HUNT [--case NAME]

With daemons of its own and two software GPUs. Tenants that need more than the first one have all that leaves it on the second, where nothing
but a quarter is kept back.
"""
import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import asked
from asked import require

DEVICE, MIB, OVERHEAD = 96, 56, 12  # MiB
SMALL = 40  # MiB: of three such tenants the neighbour holds all that cannot be on the GPU
OWN, OWN_LIMIT = 78, 90  # of the neighbour's own tenant: beside it nothing is lent
PATIENCE = 300  # s
ALWAYS = ["--swap-neighbour", "always"]


class Watch(threading.Thread):
    """The most of each figure, and the least of what is lent, as long as it is watched."""

    def __init__(self, tessera):
        super().__init__()
        self.tessera, self.most, self.over = tessera, {}, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            figures = {"lent": lent_bytes(self.tessera)}
            for entry in asked.ps(self.tessera)["slices"]:
                for key in ("swap_neighbour_bytes", "swap_host_bytes", "swap_file_bytes", "refusals"):
                    figures[key] = figures.get(key, 0) + entry["devices"][0][key]
            for key, value in figures.items():
                self.most[key] = max(self.most.get(key, 0), value)

    def end(self):
        self.over.set()
        self.join()
        return self.most


def gpu(tessera, index):
    return asked.shown(tessera, "gpus")["gpus"][index]


def lent_bytes(tessera):
    return gpu(tessera, 1)["lent_bytes"]


class Tenant:
    def __init__(self, arguments, number, on=0, mib=MIB, rounds=2, until="", limit=0):
        self.name, self.tessera = f"t{number}", arguments.tessera
        words = [f"until={until}"] if until else []
        self.process = subprocess.Popen([arguments.tessera, "run", "--name", self.name, "--gpu", str(on), "--mem", f"{limit or mib + OVERHEAD}MiB", "--",
                                         arguments.larger, str(mib), str(rounds), str(number), "fresh", *words], stdout=subprocess.PIPE, text=True)

    def finish(self):
        out, _ = self.process.communicate(timeout=PATIENCE)
        last = out.splitlines()[-1:] or [""]
        require(self.process.returncode == 0 and last[0].startswith("PASS"), f"{self.name}: {self.process.returncode} {last[0]}")

    def pid(self):
        return asked.slices(self.tessera)[self.name]["processes"][0]["pid"]

    def on_neighbour(self):
        device = asked.devices(self.tessera).get(self.name)
        return device["swap_neighbour_bytes"] if device else 0

    def kill(self):
        os.kill(self.pid(), signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE)


def empty(arguments):
    return not asked.slices(arguments.tessera) and asked.used_bytes(arguments.tessera) == 0 and lent_bytes(arguments.tessera) == 0


@contextlib.contextmanager
def node(arguments, *options, **environment):
    """Two GPUs and a daemon; all is given back at its end."""
    with asked.own_node(SOFTGPU_DEVICES="2", SOFTGPU_MEMORY=f"{DEVICE}MiB", **environment):
        arguments.daemon = asked.start_daemon(arguments.bin, "--overcommit", "3", "--residence-round", "1", *options)
        arguments.stop = os.path.join(os.path.dirname(os.environ["TESSERA_SOCKET"]), "stop")
        try:
            yield
            asked.wait_until(lambda: empty(arguments), PATIENCE,
                             lambda: f"all is given back: {asked.ps(arguments.tessera)} {asked.shown(arguments.tessera, 'gpus')}")
        finally:
            arguments.daemon.terminate()
            arguments.daemon.wait()


def stop(arguments):
    open(arguments.stop, "w").close()


def wait_for_lent(arguments, bytes_least=1):
    asked.wait_until(lambda: lent_bytes(arguments.tessera) >= bytes_least, PATIENCE, lambda: f"something is lent: {asked.ps(arguments.tessera)}")


def check_ways(arguments):
    for options, uses in ((ALWAYS, True), (["--swap-neighbour", "never"], False), (ALWAYS + ["--swap-encrypt"], False),
                          (ALWAYS + ["--swap-codec", "adaptive"], True), (ALWAYS + ["--swap-host", "192MiB"], True), ([], None)):
        with node(arguments, *options):
            watch = Watch(arguments.tessera)
            for tenant in [Tenant(arguments, number) for number in range(3)]:
                tenant.finish()
            most = watch.end()
            require(most["refusals"] == 0, f"nothing is refused: {most}")
            require(most["lent"] <= DEVICE * 3 // 4 << 20, f"a quarter is left alone: {most}")
            if uses is not None:
                require((most["swap_neighbour_bytes"] > 0) == uses and (most["lent"] > 0) == uses, f"{options}: {most}")
            print(f"{' '.join(options) or 'auto'}: up to {most['swap_neighbour_bytes'] >> 20} MiB on the neighbour, {most['swap_host_bytes'] >> 20} MiB in "
                  "the host's memory, each byte right", flush=True)


def check_hidden(arguments):
    with node(arguments, *ALWAYS):
        require("PASS" in asked.call(arguments.tessera, "run", "--gpu", "0", "--mem", "32MiB", "--", arguments.hidden), "hidden")
    print("the programs know nothing of the neighbour", flush=True)


def check_recall(arguments):
    """The neighbour's own want nearly all of it."""
    with node(arguments, *ALWAYS):
        tenants = [Tenant(arguments, number, until=arguments.stop) for number in range(3)]
        wait_for_lent(arguments, 32 << 20)
        before, began, least = lent_bytes(arguments.tessera), time.monotonic(), []
        own = Tenant(arguments, 9, on=1, mib=OWN, limit=OWN_LIMIT)
        while own.process.poll() is None and time.monotonic() < began + PATIENCE:
            least.append(lent_bytes(arguments.tessera))
            time.sleep(0.05)
        own.finish()
        took = time.monotonic() - began
        require(min(least) == 0, f"all of it was called back: {min(least)}")
        stop(arguments)
        for tenant in tenants:
            tenant.finish()
    print(f"of {before >> 20} MiB lent nothing kept the neighbour's own from {OWN} MiB: all of its work took {took:.1f} s", flush=True)


def check_restart(arguments):
    """The daemon is killed while something is lent: the next one knows of it, and has it back when it is wanted."""
    with node(arguments, *ALWAYS):
        tenants = [Tenant(arguments, number, until=arguments.stop) for number in range(3)]
        wait_for_lent(arguments, 32 << 20)
        for tenant in tenants:
            os.kill(tenant.pid(), signal.SIGSTOP)
        lent = sum(tenant.on_neighbour() for tenant in tenants)
        pids = [tenant.pid() for tenant in tenants]
        arguments.daemon.kill()
        arguments.daemon.wait()
        arguments.daemon = asked.start_daemon(arguments.bin, "--overcommit", "3", "--residence-round", "1", *ALWAYS)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        wait_for_lent(arguments)
        own = Tenant(arguments, 9, on=1, mib=OWN, limit=OWN_LIMIT)
        own.finish()
        stop(arguments)
        for tenant in tenants:
            tenant.finish()
    print(f"the daemon was killed with {lent >> 20} MiB lent: they were known of again, and came back", flush=True)


def check_kills(arguments):
    """Whoever is killed while it has something on the neighbour leaves nothing there. (Of larger tenants two could fill the neighbour for good.)"""
    with node(arguments, *ALWAYS):
        tenants = [Tenant(arguments, number, mib=SMALL, until=arguments.stop) for number in range(2)]
        for number in range(arguments.kills):
            falls = Tenant(arguments, 10 + number, mib=SMALL, until=arguments.stop)
            asked.wait_until(lambda: falls.on_neighbour() > 0, PATIENCE, lambda: f"{falls.name} is off the GPU: {asked.ps(arguments.tessera)}")
            falls.kill()
        stop(arguments)
        for tenant in tenants:
            tenant.finish()
    print(f"{arguments.kills} tenants killed with memory on the neighbour: nothing is left there, and the others' bytes are right", flush=True)


def stop_one_of(tenants, bytes_there):
    """While it has so much on the neighbour."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for tenant in tenants:
            if tenant.on_neighbour() < bytes_there:
                continue
            os.kill(tenant.pid(), signal.SIGSTOP)
            time.sleep(0.2)  # what it had told by then
            if tenant.on_neighbour() >= bytes_there:
                return tenant
            os.kill(tenant.pid(), signal.SIGCONT)
        time.sleep(0.05)
    require(False, "one has much there")
    return None


def check_stopped(arguments):
    """One that is stopped, and so gives nothing back, is ended when the neighbour's own have waited for it for long."""
    with node(arguments, *ALWAYS):
        tenants = [Tenant(arguments, number, until=arguments.stop) for number in range(3)]
        wait_for_lent(arguments, 32 << 20)
        victim = stop_one_of(tenants, 24 << 20)
        began = time.monotonic()
        own = Tenant(arguments, 9, on=1, mib=OWN, limit=OWN_LIMIT)
        own.finish()
        took = time.monotonic() - began
        victim.process.communicate(timeout=PATIENCE)
        require(victim.process.returncode != 0, "the one that was stopped has ended")
        stop(arguments)
        for tenant in tenants:
            if tenant is not victim:
                tenant.finish()
        require(took < 90, f"the neighbour's own waited {took:.1f} s")
    print(f"a stopped tenant kept the neighbour's own waiting until it was ended: {took:.1f} s with all of its work", flush=True)


def search(arguments, on):
    out = subprocess.run([arguments.tessera, "run", "--gpu", str(on), "--mem", f"{DEVICE - OVERHEAD}MiB", "--", arguments.leak_hunt, "search"],
                         capture_output=True, text=True, timeout=PATIENCE)
    return out.returncode, out.stdout + out.stderr


def check_leaks(arguments):
    """A mark that went to the neighbour is not found there, called back or left behind; without the GPU's zeroing it is."""
    for zeroing in ("on", "off"):
        with node(arguments, *ALWAYS, SOFTGPU_ZEROING=zeroing):
            planted = subprocess.Popen([arguments.tessera, "run", "--name", "plants", "--gpu", "0", "--mem", f"{DEVICE - OVERHEAD}MiB", "--",
                                        arguments.leak_hunt, "plant", "linear", "stay"], stdout=subprocess.PIPE, text=True)
            pid = int(re.fullmatch(r"planted (\d+)\n", planted.stdout.readline())[1])
            search(arguments, 0)  # wants nearly all of the GPU
            left = asked.devices(arguments.tessera)["plants"]["swap_neighbour_bytes"]
            require(left > 0, "the mark went to the neighbour")
            called_back = search(arguments, 1)
            require(asked.devices(arguments.tessera)["plants"]["swap_neighbour_bytes"] < left, "it was called back")
            os.kill(pid, signal.SIGKILL)
            planted.communicate(timeout=PATIENCE)
            left_behind = search(arguments, 1)
            if zeroing == "on":
                require(called_back[0] == 0 and left_behind[0] == 0, f"{called_back} {left_behind}")
            else:
                require(called_back[0] == 1 and "words of another tenant" in called_back[1], f"without zeroing it is found: {called_back}")
        os.environ.pop("SOFTGPU_ZEROING")
    print(f"{left >> 20} MiB of a mark went to the neighbour and back: not a byte is found there; without zeroing it is", flush=True)


CASES = {"ways": check_ways, "hidden": check_hidden, "recall": check_recall, "restart": check_restart, "kills": check_kills,
         "stopped": check_stopped, "leaks": check_leaks}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("bin", "larger", "hidden", "leak_hunt"):
        parser.add_argument(name)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--kills", type=int, default=3)
    arguments = parser.parse_args()
    arguments.tessera = os.path.join(arguments.bin, "tessera")
    for name in arguments.case or CASES:
        CASES[name](arguments)
    print("PASS")


if __name__ == "__main__":
    sys.exit(main())
