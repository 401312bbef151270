#!/usr/bin/env python3
"""Checks that NVML under `tessera run` tells of the slice: its memory, and no other slice's processes.

usage: smi_test.py TESSERA SMI SOFTGPU_FOLDER
"""
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile

MIB = 1 << 20
GIVE_UP_SECONDS = 60


def hold(mebibytes, command):
    """In a slice: allocates, says so with this process's number, then runs the command or waits for input's end."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    for result in (cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), 0),
                   cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), cuda.cuCtxSetCurrent(context),
                   cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(mebibytes * MIB))):
        if result != 0:
            sys.exit(f"CUDA error {result}")
    print("pid", os.getpid(), flush=True)
    if command:
        sys.exit(subprocess.run(command).returncode)
    sys.stdin.read()


class Table:
    """What smi printed."""

    def __init__(self, text):
        memory = re.findall(r" (\d+)MiB / +(\d+)MiB ", text)
        self.devices = [(int(used), int(total)) for used, total in memory]
        self.processes = {int(pid): int(used) for pid, used in re.findall(r"\| +\d+ +(\d+) +C .* (\d+)MiB", text)}


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found} instead of {wanted}")


def pid_in(text):
    """What hold() said."""
    found = re.search(r"^pid (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else sys.exit(f"no process number in '{text}'")


def check(tessera, smi, softgpu, env):
    tenant = [tessera, "run", "--gpu", "0"]
    this = [sys.executable, os.path.abspath(__file__), "--hold"]
    neighbour = subprocess.Popen([*tenant, "--mem", "512MiB", "--", *this, "100"], env=env, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        neighbour_pid = pid_in(neighbour.stdout.readline())
        done = subprocess.run([*tenant, "--mem", "1GiB", "--", *this, "300", smi], env=env, text=True,
                              stdout=subprocess.PIPE, timeout=GIVE_UP_SECONDS)
        print(done.stdout)
        expect("exit code", done.returncode, 0)
        own_pid = pid_in(done.stdout)
        table = Table(done.stdout)
        expect("devices: used and total MiB", table.devices, [(300, 1024)])
        expect("processes", table.processes, {own_pid: 300})
        # Without a slice the whole device is seen: there was something not to be shown.
        bare = dict(env, LD_LIBRARY_PATH=softgpu)
        whole = Table(subprocess.run([smi], env=bare, text=True, stdout=subprocess.PIPE, timeout=GIVE_UP_SECONDS,
                                     check=True).stdout)
        expect("devices without a slice", len(whole.devices), 2)
        expect("processes without a slice", whole.processes, {neighbour_pid: 100})
    finally:
        neighbour.communicate("", timeout=GIVE_UP_SECONDS)
    expect("the neighbour's exit code", neighbour.returncode, 0)


def main():
    with tempfile.TemporaryDirectory(prefix="softgpu-test-", dir="/dev/shm") as state, \
         tempfile.TemporaryDirectory(prefix="tessera-smi-") as folder:
        socket = os.path.join(folder, "tesserad.sock")
        env = dict(os.environ, SOFTGPU_STATE_DIR=state, SOFTGPU_DEVICES="2", SOFTGPU_MEMORY="2GiB",
                   TESSERA_DRIVER="software", TESSERA_SOCKET=socket)
        for name in ("CUDA_VISIBLE_DEVICES", "SOFTGPU_CONFIG", "TESSERA_SLICE"):
            env.pop(name, None)
        try:
            check(*sys.argv[1:4], env)
        finally:
            if os.path.exists(socket + ".pid"):
                with open(socket + ".pid") as file:
                    os.kill(int(file.read()), signal.SIGTERM)


if __name__ == "__main__":
    if sys.argv[1] == "--hold":
        hold(int(sys.argv[2]), sys.argv[3:])
    else:
        main()
