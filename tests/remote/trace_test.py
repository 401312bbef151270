#!/usr/bin/env python3
"""Every call of the CUDA programs of the tests returns across a wire what it returns on this machine.

usage: trace_test.py PLAIN_SERVER TRACE_FOLDER GUEST_FOLDER SOFTGPU_FOLDER PROGRAMS_FOLDER WAY PATTERN...

WAY as for programs_test.py. A program runs over both with a libcuda.so.1 before them that writes down what each call returns
(trace.h): each thread's calls and results have to be the same, in the same order. Of a program whose calls differ from run to run
on this machine, too, each has to return across the wire what it returns in one of these. Exit code 1 and a line for each that differs.
"""
import collections
import os
import sys
import tempfile

import programs as those

# Whose results differ, and why.
DIFFERENT = {
    "driver_damaged_images": "code that its own headers do not hold together is not sent: whatever else is wrong with it is not looked at",
    "driver_several_devices": "NVML asks the program's CUDA what it has taken of the server's memory",
}
NOT_READY = "600"
RUNS = 3  # on this machine, where they differ from each other: calls that come by time


def calls(path):
    """Each thread's calls, as a list of lists in the order in which threads appear."""
    threads = collections.OrderedDict()
    with open(path) as file:
        for line in file:
            process, thread, name, result = line.split()
            threads.setdefault((process, thread), []).append("%s = %s" % (name, result))
    return [without_repeats(thread) for thread in threads.values()]


def without_repeats(thread):
    """Whether something is ready is asked as often as it takes."""
    return [call for call in thread if not call.endswith(" = " + NOT_READY)]


def all_of(threads):
    return collections.Counter(call for thread in threads for call in thread)


def difference(here, there):
    """A line that says where they differ first; None where they do not."""
    if sorted(here) == sorted(there):
        return None
    # What is loaded when it is first needed is loaded by whichever of several threads comes first.
    if len(here) == len(there) > 1 and all_of(here) == all_of(there):
        return None
    left = list(there)
    missing = [thread for thread in here if not (thread in left and not left.remove(thread))]
    if not missing:
        return "%d threads more across the wire" % len(left)
    one = missing[0]
    other = max(left, key=lambda thread: len(os.path.commonprefix([one, thread])), default=[])
    at = len(os.path.commonprefix([one, other]))
    return "call %d: %s here, %s across the wire; after %s" % (at, one[at] if at < len(one) else "nothing",
                                                              other[at] if at < len(other) else "nothing", one[max(0, at - 3):at])


def traced(program, trace, driver, environment):
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/calls"
        open(path, "w").close()
        code, said = those.ends(program, {"LD_LIBRARY_PATH": trace + ":" + os.path.dirname(driver), "TRACED_DRIVER": driver,
                                          "TRACE_FILE": path, **environment})
        return code, said, calls(path)


def compare(program, folders, server):
    trace, guest, softgpu = folders
    driver = softgpu + "/libcuda.so.1"
    code, said, here = traced(program, trace, driver, server.here)
    if code == those.SKIPPED or program.name.split(".")[0] in DIFFERENT:
        return None
    if code != 0:
        return "%s fails without a wire: %s %s" % (program.name, code, said)
    code, said, there = traced(program, trace, guest + "/libcuda.so.1", server.environment)
    if code != 0:
        return "%s: %s across the wire\n  %s" % (program.name, code, said)
    found = difference(here, there)
    if found is None:
        return None
    others = [traced(program, trace, driver, server.here)[2] for _ in range(RUNS - 1)]
    if all(difference(here, other) is None for other in others):
        return "%s: %s" % (program.name, found)
    known = {call for run in [here, *others] for thread in run for call in thread}
    strange = sorted({call for thread in there for call in thread} - known)
    return "%s: %s, and never here" % (program.name, ", ".join(strange)) if strange else None


def main():
    server, trace, guest, softgpu, programs, way = sys.argv[1:7]
    found = list(those.chosen(programs, sys.argv[7:]))
    folders = (trace, guest, softgpu)
    wrong = those.compared(found, lambda p, running: compare(p, folders, running), server, softgpu + "/libcuda.so.1", way)
    print("\n".join(wrong + ["%d programs over %s, %d differ" % (len(found), way, len(wrong))]))
    return 1 if wrong or not found else 0


sys.exit(main())
