#!/usr/bin/env python3
"""Slices in space on a driver that gives a process a portion of the SMs when it starts, and keeps it: MPS.

usage: portions.py BIN_DIR PROGRAM    (PROGRAM: driver_multiprocessors)

With a daemon, a software GPU of 8 SMs that holds no kernels up, as NVIDIA's, and what a control daemon of MPS would have where its
clients look. What a program has is seen from within: it tells on how many SMs its blocks ran.
"""
import os
import subprocess
import sys
import time

import asked
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
ROUNDS = 5


def tessera(*words, **environment):
    done = subprocess.run([TESSERA, *words], capture_output=True, text=True, env=dict(os.environ, **environment))
    return done.returncode, done.stdout, done.stderr


def must(*words):
    code, out, err = tessera(*words)
    require(code == 0, f"{words}: {code} {err}")
    return out


def must_refuse(text, *words, **environment):
    code, out, err = tessera(*words, **environment)
    require(code != 0 and text in err, f"{words}: {code} {out} {err}")


class Program(asked.Program):
    """Its slice is there, and it has its SMs, once it is made."""

    def __init__(self, *options):
        super().__init__(TESSERA, "run", *options, "--", PROGRAM, "ask")
        self.ask("")

    def keeps_to(self, sms, what):
        """The software GPU takes the first SM that is free. So where others have come to rest these are always the same: as many as the
        program may have at once."""
        deadline = time.monotonic() + 20
        seen = []
        while len(seen) < ROUNDS or len(set(seen[-ROUNDS:])) > 1:
            require(time.monotonic() < deadline, f"{what}: ran on SMs {seen[-ROUNDS:]}")
            seen.append(self.ask(""))
        require(len(seen[-1].split(",")) == sms, f"{what}: ran on SMs {seen[-1]}, not on {sms}")


def check_portions():
    quarter = Program("--name", "quarter", "--sm", "25", "--sm-mode", "space")
    half = Program("--name", "half", "--sm", "50", "--priority", "low")
    rest = Program("--name", "rest")
    devices = asked.devices(TESSERA)
    require((devices["quarter"].get("sms"), devices["half"].get("sms")) == ("0-1", "2-5"), f"SMs: {devices}")
    for program, sms, what in ((quarter, 2, "a quarter"), (half, 4, "a half"), (rest, 2, "what is left")):
        program.keeps_to(sms, what)
    # What they have they keep; and what programs in time run on is not for others.
    must_refuse("gave their SMs when they started", "set", "quarter", "--sm", "12.5")
    must_refuse("takes none from programs that run", "run", "--sm", "12.5", "--sm-mode", "space", "--", "true")
    rest.finish()
    eighth = Program("--name", "eighth", "--sm", "12.5", "--sm-mode", "space")
    eighth.keeps_to(1, "an eighth")
    for program in (quarter, half, eighth):
        program.finish()


def check_environment(folder):
    """A user may ask for less; and where nobody would keep a program to its portion it does not start."""
    show = ("sh", "-c", f"{PROGRAM} && echo")
    must("run", "--sm", "50", "--sm-mode", "space", "--", *show)
    os.environ["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = "12.5"
    less = Program("--name", "less", "--sm", "50", "--sm-mode", "space")
    less.keeps_to(1, "less than its slice has")
    less.finish()
    del os.environ["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"]
    code, out, err = tessera("run", "--sm", "50", "--sm-mode", "space", "--", PROGRAM, CUDA_MPS_PIPE_DIRECTORY=folder + "/nowhere")
    require(code != 0 and "no control daemon is at" in err + out, f"without MPS: {code} {out} {err}")


def check_without(folder):
    """Said once, and slices are in time."""
    with asked.running_daemon(BIN, "--mps"):
        must_refuse("cannot keep a slice's kernels to some of its SMs", "run", "--sm", "50", "--sm-mode", "space", "--", "true")
        must("run", "--sm", "50", "--", PROGRAM)


def main():
    with asked.own_node(SOFTGPU_SMS="8", SOFTGPU_OWN_TABLES="off") as folder:
        os.environ["CUDA_MPS_PIPE_DIRECTORY"] = folder
        check_without(folder)
        with open(os.path.join(folder, "control"), "w", encoding="utf-8"):
            pass
        with asked.running_daemon(BIN, "--mps"):
            check_portions()
            check_environment(folder)
    print("PASS")


if __name__ == "__main__":
    main()
