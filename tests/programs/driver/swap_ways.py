#!/usr/bin/env python3
"""What waits for its turn on a GPU, kept in each way there is: compressed, encrypted, in a file. Each byte is right, tessera ps says what it
takes, and where there is no place for more a program that wants to grow is told so, and nobody else suffers.

usage: swap_ways.py BIN_DIR PROGRAM    (driver_larger_together)

With daemons that let slices be promised more than there is, and a software GPU of its own.
"""
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time

import asked
from asked import require

DEVICE, MIB, OVERHEAD = 96, 56, 12  # MiB
PATIENCE = 300  # s
# While they load their data at the latest, all but one of the programs are off the GPU for a while.
SHORT_TURNS, SEVERAL_TURNS = ["--residence-round", "1"], 12
WAYS = {
    "adaptive": ["--swap-codec", "adaptive"],
    "zstd, encrypted": ["--swap-codec", "zstd", "--swap-encrypt"],
    "as it is, encrypted": ["--swap-encrypt"],
    "in a file beyond a bound": ["--swap-host", "64MiB", "--swap-dir", "FOLDER"],
}


class Watch(threading.Thread):
    """The most that tessera ps said of each figure, as long as it is watched."""

    def __init__(self, tessera):
        super().__init__()
        self.tessera, self.most, self.over = tessera, {}, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            shown = asked.ps(self.tessera)
            figures = {"host_granted_bytes": shown["swap"]["host_granted_bytes"] or 0}
            for entry in shown["slices"]:
                for key in ("out_bytes", "swap_host_bytes", "swap_file_bytes", "refusals"):
                    figures[key] = figures.get(key, 0) + entry["devices"][0][key]
            for key, value in figures.items():
                self.most[key] = max(self.most.get(key, 0), value)

    def end(self):
        self.over.set()
        self.join()
        return self.most


def start(tessera, program, number, *more, mib=MIB, rounds=SEVERAL_TURNS, limit=MIB + OVERHEAD, out=subprocess.PIPE, err=subprocess.PIPE):
    return subprocess.Popen([tessera, "run", "--name", f"t{number}", "--mem", f"{limit}MiB", "--", program, str(mib), str(rounds),
                             str(number), "fresh", *more], stdout=out, stderr=err, text=True)


def finish(program):
    out, err = program.communicate(timeout=PATIENCE)
    last = out.splitlines()[-1:] or [""]
    require(program.returncode == 0 and last[0].startswith("PASS"), f"{program.returncode} {last[0]} {err}")


def empty(tessera):
    return not asked.slices(tessera) and asked.used_bytes(tessera) == 0


def with_daemon(bin_dir, options, check):
    tessera = os.path.join(bin_dir, "tessera")
    with asked.own_node(SOFTGPU_DEVICES="1", SOFTGPU_MEMORY=f"{DEVICE}MiB"), tempfile.TemporaryDirectory() as folder:
        daemon = asked.start_daemon(bin_dir, "--overcommit", "3", *SHORT_TURNS, *[folder if option == "FOLDER" else option for option in options])
        try:
            check(tessera, folder)
            asked.wait_until(lambda: empty(tessera), PATIENCE, lambda: f"all is given back: {asked.ps(tessera)}")
            require(not os.listdir(folder), "nothing of the files is left in their folder")
        finally:
            daemon.terminate()
            daemon.wait()


def check_way(bin_dir, program, name, options):
    def check(tessera, _):
        watch = Watch(tessera)
        for each in [start(tessera, program, number) for number in range(4 if "--swap-host" in options else 3)]:
            finish(each)
        most = watch.end()
        require(most["refusals"] == 0, f"nothing is refused that can fit: {most}")
        require(most["out_bytes"] > 0, f"they did not fit together: {most}")
        kept = most["swap_host_bytes"] + most["swap_file_bytes"]
        require(kept > 0, f"it is kept somewhere: {most}")
        if "--swap-host" in options:
            require(most["host_granted_bytes"] <= 64 << 20, f"the host gives no more than was said: {most}")
            require(most["swap_file_bytes"] > 0, f"the rest is in the file: {most}")
        print(f"{name}: up to {most['out_bytes'] >> 20} MiB off the GPU; {most['swap_host_bytes'] >> 20} MiB of the host's memory and "
              f"{most['swap_file_bytes'] >> 20} MiB of disk for it", flush=True)

    with_daemon(bin_dir, options, check)


def text(file):
    file.seek(0)
    return file.read()


def check_full(bin_dir, program):
    """Programs, and no place for all that others would have to make room for: who wants to grow then is told so, the others go on."""
    def check(tessera, _):
        refused, one_was_refused = 0, os.path.join(os.path.dirname(os.environ["TESSERA_SOCKET"]), "one was refused")
        with contextlib.ExitStack() as ends:
            outs, errs = ([ends.enter_context(tempfile.TemporaryFile("w+")) for _ in range(4)] for _ in range(2))
            # Until then nobody ends: turns may be as long as all of a program's work, and the others would have waited for that.
            programs = [start(tessera, program, number, f"until={one_was_refused}", out=outs[number], err=errs[number])
                        for number in range(4)]
            for each in programs:
                ends.callback(each.kill)
            asked.wait_until(lambda: any(each.poll() is not None for each in programs), PATIENCE, lambda: f"one is refused: {asked.ps(tessera)}")
            open(one_was_refused, "w").close()
            for each, out, err in zip(programs, outs, errs):
                each.wait(PATIENCE)
                if each.returncode == 0 and text(out).splitlines()[-1].startswith("PASS"):
                    continue
                refused += 1
                require("there is no place left for what others have" in text(err), f"it is told why: {each.returncode} {text(out)} {text(err)}")
        require(0 < refused < 4, f"some are refused, and the others' bytes are right: {refused} of 4")
        print(f"without a place for what others have {refused} of 4 programs were refused, and the others' bytes are right", flush=True)

    with_daemon(bin_dir, ["--swap-host", "64MiB"], check)


def check_never_fits(bin_dir, program):
    """All that a process has must be on the GPU at once."""
    def check(tessera, _):
        began = time.monotonic()
        large = start(tessera, program, 0, mib=DEVICE - OVERHEAD // 3, limit=DEVICE)
        _, err = large.communicate(timeout=PATIENCE)
        require(large.returncode != 0 and "of device memory refused" in err, f"it is told why: {large.returncode} {err}")
        print(f"what can never fit was refused after {time.monotonic() - began:.1f} s", flush=True)

    with_daemon(bin_dir, [], check)


def main():
    bin_dir, program = sys.argv[1:]
    for name, options in WAYS.items():
        check_way(bin_dir, program, name, options)
    check_full(bin_dir, program)
    check_never_fits(bin_dir, program)
    print("PASS")


if __name__ == "__main__":
    sys.exit(main())
