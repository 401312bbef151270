#!/usr/bin/env python3
"""With --gate-copies a tenant that only copies waits for its turns beside one that works; without it, it has none.

usage: gated_copies.py BIN_DIR LIB_DIR WORKER COPIER    (driver_round_the_gate, driver_gated_copies)

With a daemon and a software GPU of its own. The daemon's count of waits for turns decides.
"""
import os
import subprocess
import sys
import tempfile

from asked import devices, require

BIN, LIB, WORKER, COPIER = sys.argv[1:]
TESSERA = os.path.join(BIN, "tessera")


def start(name, *command, options=()):
    return subprocess.Popen([TESSERA, "run", "--name", name, "--sm", "30", "--sm-mode", "time", *options, "--", *command],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def waits_of_copier(name, options):
    copier = start(name, COPIER, "stay", options=options)
    require(copier.stdout.readline() == "copied\n", "it copies")
    shown = devices(TESSERA)[name]
    require(shown["compute"]["gate_copies"] == bool(options), f"{shown}")
    out, _ = copier.communicate()
    require(copier.returncode == 0 and out.startswith("PASS"), f"{copier.returncode} {out}")
    return shown["waits"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=os.path.join(folder, "softgpu"),
                          SOFTGPU_SMS="2", SOFTGPU_DEVICES="1", TESSERA_DRIVER="software")
        os.environ.pop("TESSERA_SLICE", None)
        worker = start("worker", WORKER, os.path.join(LIB, "softgpu", "libcuda.so.1"))
        try:
            worker.stdin.write("gated\n")
            worker.stdin.flush()
            require(worker.stdout.readline() == "gated\n", "the worker works")
            free, gated = waits_of_copier("free", ()), waits_of_copier("gated", ("--gate-copies",))
            print(f"waits for turns: {free} without, {gated} with --gate-copies")
            require(free == 0 and gated > 0, "copies wait where that was asked for, and only there")
            worker.communicate()
        finally:
            worker.kill()
    print("PASS")


main()
