#!/usr/bin/env python3
"""Slices that stay, in space and in time, planned, made, resized under running programs, and deleted.

usage: slices.py BIN_DIR PROGRAM    (PROGRAM: driver_multiprocessors)

With a daemon and two software GPUs of 8 SMs of its own. What a slice in space has is seen from within: its programs tell on which
SMs their blocks ran.
"""
import json
import os
import subprocess
import sys
import time

import asked
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")


def tessera(*words):
    done = subprocess.run([TESSERA, *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def must(*words):
    code, out, err = tessera(*words)
    same(code, 0, f"{words}: {err}")
    return out


def must_refuse(text, *words):
    code, _, err = tessera(*words)
    require(code != 0 and text in err, f"{words}: {code} {err}")


def same(got, want, what):
    require(got == want, f"{what}: {got!r}, not {want!r}")


def members(text):
    numbers = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def slices():
    return {entry["name"]: entry for entry in json.loads(must("slice", "list", "--json"))["slices"]}


def sms_of(name):
    return members(slices()[name]["devices"][0].get("sms", ""))


class Program(asked.Program):
    def __init__(self, slice_name):
        super().__init__(TESSERA, "run", "--slice", slice_name, PROGRAM, "ask")

    def sms(self):
        return members(self.ask(""))

    def settles_on(self, sms, what):
        """An order takes a moment to reach the program; from then on its blocks keep to these SMs."""
        deadline = time.monotonic() + 20
        while not self.sms() <= sms:
            if time.monotonic() > deadline:
                sys.exit(f"FAIL {what}: blocks run beside SMs {sorted(sms)}")
        for _ in range(10):
            seen = self.sms()
            require(seen <= sms, f"{what}: {sorted(seen)} beside {sorted(sms)}")


def check_plan():
    out = must("slice", "plan", "--mem", "256MiB", "--sm", "25", "--explain")
    for text in ("space, SMs 0-1", "GPU 0: SMs 0-1 of 8, in space; then 768MiB of memory and 75.0 % of its compute are left"):
        require(text in out, out)
    same(slices(), {}, "slices after a plan")


def check_space():
    must("slice", "create", "a", "--gpu", "0", "--mem", "256MiB", "--sm", "25", "--sm-cap")
    must("slice", "create", "b", "--gpu", "0", "--sm", "50", "--sm-cap")
    must("slice", "create", "c", "--gpu", "0", "--sm", "12.5", "--sm-mode", "time")
    same((sms_of("a"), sms_of("b"), sms_of("c")), ({0, 1}, {2, 3, 4, 5}, set()), "SMs")
    must_refuse("are nobody's own yet", "slice", "create", "d", "--gpu", "0", "--sm", "50", "--sm-mode", "space")
    must_refuse("12.5 % is not promised yet", "slice", "create", "d", "--gpu", "0", "--sm", "20")
    programs = {name: Program(name) for name in "abc"}
    programs["a"].settles_on({0, 1}, "a")
    programs["b"].settles_on({2, 3, 4, 5}, "b")
    require(slices()["a"]["processes"], "processes of a")
    return programs


def check_resize(programs):
    must("slice", "resize", "a", "--sm", "12.5")
    same(sms_of("a"), {0}, "a after 12.5 %")
    programs["a"].settles_on({0}, "a at 12.5 %")
    must("slice", "resize", "a", "--sm", "25", "--sm-mode", "space")
    grown = sms_of("a")
    same((len(grown), 0 in grown, grown & sms_of("b")), (2, True, set()), "a at 25 % again")
    programs["a"].settles_on(grown, "a at 25 % again")
    must("slice", "resize", "b", "--sm-mode", "time")
    same(sms_of("b"), set(), "b in time")  # where it may run depends on what idles
    programs["b"].sms()
    must("slice", "resize", "a", "--sm", "12.5", "--no-sm-cap")
    require(not slices()["a"]["devices"][0]["compute"]["capped"], "a without a ceiling")


def check_restart(folder, daemon, programs):
    before = {name: (entry["devices"][0].get("sms"), entry["kept"]) for name, entry in slices().items()}
    daemon.kill()
    daemon.wait()
    daemon = asked.start_daemon(BIN, "--order", "earliest-deadline", "--time-slice", "fixed", "--packing", "binpack")
    same({name: (entry["devices"][0].get("sms"), entry["kept"]) for name, entry in slices().items()}, before, "after a restart")
    programs["a"].sms()
    return daemon


def check_delete(programs):
    must_refuse("has 1 processes; end them", "slice", "delete", "a")
    must("slice", "delete", "a", "--when-unused")
    programs["a"].finish()
    deadline = time.monotonic() + 5
    while "a" in slices() and time.monotonic() < deadline:
        time.sleep(0.01)
    require("a" not in slices(), "a after its last program")
    for name in "bc":
        programs[name].finish()
        must("slice", "delete", name)
    same(slices(), {}, "slices after all")
    must_refuse("no slice is named 'a'", "slice", "delete", "a")
    must_refuse("no slice is named 'a'", "run", "--slice", "a", PROGRAM)
    must_refuse("the slice of --slice has its own", "run", "--slice", "a", "--sm", "5", PROGRAM)


def check_file(folder):
    path = os.path.join(folder, "slices.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("slices:\n  small: {mem: 300MiB, sm: 25}\n  more: {mem: 300MiB, sm: 25}\n  large: {mem: 1GiB, sm: 100}\n")
    must("slice", "plan", "--file", path)
    must("slice", "create", "--file", path)
    made = slices()
    require(made["large"]["devices"][0]["gpu"] != made["small"]["devices"][0]["gpu"], "a GPU for the large one")
    must_refuse("nothing was made", "slice", "create", "--file", path)
    same(len(slices()), 3, "slices after a refused file")
    for name in made:
        must("slice", "delete", name)


def main():
    with asked.own_node(SOFTGPU_SMS="8", SOFTGPU_DEVICES="2", SOFTGPU_MEMORY="1GiB") as folder:
        daemon = asked.start_daemon(BIN)
        try:
            check_plan()
            programs = check_space()
            check_resize(programs)
            daemon = check_restart(folder, daemon, programs)
            check_delete(programs)
            check_file(folder)
        finally:
            daemon.terminate()
            daemon.wait()
    print("PASS")


if __name__ == "__main__":
    main()
