#!/usr/bin/env python3
"""Changes a slice's limit while programs hold memory in it.

usage: limit_changes.py BIN_DIR PROGRAM    (PROGRAM: driver_limit_changes)

With a daemon and a software GPU of its own. Two programs run in one slice; `tessera set` raises and lowers its limit, and after
each change both must get what the limit leaves and no more, see it in cuMemGetInfo, and go on working with what they hold.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import asked

BIN, PROGRAM = sys.argv[1:3]
MIB = 1 << 20


def tessera(*words):
    done = subprocess.run([os.path.join(BIN, "tessera"), *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def must(*words):
    code, out, err = tessera(*words)
    assert code == 0, err
    return out


def require(got, want, what):
    if got != want:
        sys.exit(f"FAIL {what}: {got!r}, not {want!r}")


class Holder:
    """One program in the slice, asked line by line."""

    def __init__(self, commands, answers):
        self.commands, self.answers = commands, answers

    def ask(self, command):
        self.commands.write(command + "\n")
        self.commands.flush()
        return self.answers.readline().strip()

    def shown(self):
        """(free, total), in bytes"""
        return tuple(int(word) for word in self.ask("show").split())

    def finish(self, what):
        self.commands.close()
        require(self.answers.read().split()[:1], ["PASS"], what)


def slice_device():
    (only,) = json.loads(must("ps", "--json"))["slices"]
    return only["devices"][0]


def wait_until_granted_is_at_most(mib):
    deadline = time.monotonic() + 5
    while slice_device()["granted_bytes"] > mib << 20:
        if time.monotonic() > deadline:
            sys.exit(f"FAIL {slice_device()['granted_bytes']} bytes stay granted above a limit of {mib} MiB")
        time.sleep(0.01)


def overhead(first, second):
    """What the slice is charged for the programs' code and contexts, once both have worked: well below 2 MiB."""
    for holder in (first, second):
        require(holder.ask("take 2"), "taken", "2 of 256")
        require(holder.ask("give"), "given", "give 2")
    free, total = first.shown()
    require((total, total - free < 2 * MIB), (256 * MIB, True), "what is charged at the start")
    return total - free


def check_shown(holders, limit, held, what):
    for holder in holders:
        require(holder.shown(), (max(limit * MIB - held, 0), limit * MIB), what)


def check_raise(first, second, base):
    require(first.ask("take 200"), "taken", "200 of 256")
    require(second.ask("take 100"), "refused", "300 of 256")
    out = must("set", "pair", "--mem", "1GiB")
    require((out.startswith("pair: GPU 0, limit 1GiB, 200"), out.endswith("MiB in use\n")), (True, True), out)
    require(second.ask("take 100"), "taken", "300 of 1024")
    check_shown((first, second), 1024, 300 * MIB + base, "after the raise")


def check_lower(first, second, base):
    out = must("set", "pair", "--mem", "128MiB")
    remark = "MiB in use; that is more than the limit: new allocations are refused until use falls below it\n"
    require((out.startswith("pair: GPU 0, limit 128MiB, 300"), out.endswith(remark)), (True, True), out)
    check_shown((first, second), 128, 300 * MIB + base, "after lowering")
    for holder in (first, second):
        require(holder.ask("take 2"), "refused", "2 over the limit")
    # What comes back must not be used again while the sum is over the limit.
    require(second.ask("give"), "given", "give 100")
    require(second.ask("take 2"), "refused", "202 of 128")
    require(first.ask("give"), "given", "give 200")
    check_shown((first, second), 128, base, "all is back")
    require(second.ask("take 100"), "taken", "100 of 128")
    require(first.ask("take 30"), "refused", "130 of 128")
    require(first.ask("take 26"), "taken", "126 of 128")


def check_idle_budget(first, second):
    """Budget that programs hold ahead of need stands in the way of no lowered limit."""
    must("set", "pair", "--mem", "2GiB")
    for holder in (first, second):
        require(holder.ask("take 60"), "taken", "60 of 2048")
        require(holder.ask("give"), "given", "give 60")
    must("set", "pair", "--mem", "128MiB")
    wait_until_granted_is_at_most(128)
    require(first.ask("give"), "given", "give 26")
    require(second.ask("take 26"), "taken", "126 of 128 in one program")


def check_refusals():
    for code, text, words in ((1, "no slice is named 'other'", ("other", "--mem", "1GiB")),
                              (1, "has no part of GPU 7", ("pair", "--mem", "1GiB", "--gpu", "7")),
                              (1, "not reserved by other slices", ("pair", "--mem", "1024GiB")),
                              (2, "--mem: size", ("pair", "--mem", "0"))):
        got, _, err = tessera("set", *words)
        require((got, text in err), (code, True), err)
    require(slice_device()["limit_bytes"], 128 << 20, "the limit after refused changes")
    changed = json.loads(must("set", "pair", "--mem", "64MiB", "--json"))
    require((changed["name"], changed["devices"][0]["limit_bytes"]), ("pair", 64 << 20), "JSON")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TESSERA_SOCKET=os.path.join(folder, "tesserad.sock"), SOFTGPU_STATE_DIR=os.path.join(folder, "softgpu"))
        os.environ.pop("TESSERA_SLICE", None)
        daemon = asked.start_daemon(BIN)
        # One `tessera run` for both: a shell that starts the second program on named pipes.
        pipes = [os.path.join(folder, name) for name in ("commands", "answers")]
        for pipe in pipes:
            os.mkfifo(pipe)
        run = subprocess.Popen(
            [os.path.join(BIN, "tessera"), "run", "--name", "pair", "--mem", "256MiB", "--", "sh", "-c",
             '"$0" <"$1" >"$2" & "$0"; code=$?; wait $! && exit $code', PROGRAM, *pipes],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            first, second = Holder(run.stdin, run.stdout), Holder(open(pipes[0], "w"), open(pipes[1]))
            base = overhead(first, second)
            check_raise(first, second, base)
            check_lower(first, second, base)
            check_idle_budget(first, second)
            check_refusals()
            second.finish("the second program")
            first.finish("the first program")
            require(run.wait(timeout=20), 0, "tessera run")
        finally:
            run.kill()
            daemon.terminate()
            daemon.wait()
    print("PASS limit_changes: raised and lowered under two programs")


main()
