#!/usr/bin/env python3
"""Runs the CUDA programs of the tests on a GPU across a wire: each has to end as it does on this machine.

usage: programs_test.py PLAIN_SERVER GUEST_FOLDER SOFTGPU_FOLDER PROGRAMS_FOLDER WAY PATTERN...

WAY is tcp, tls, shm or unix; PATTERN names programs as a shell would. Exit code 1 and a line for each that ended differently.
"""
import sys

import programs as those


def compare(program, folders, server):
    guest, softgpu = folders
    here, said = those.ends(program, {"LD_LIBRARY_PATH": softgpu, **server.here})
    if here == those.SKIPPED:
        return None
    if here != 0:
        return "%s fails without a wire: %s %s" % (program.name, here, said)
    there, said = those.ends(program, {"LD_LIBRARY_PATH": guest, **server.environment})
    return None if there == here else "%s: %s across the wire, %s here\n  %s" % (program.name, there, here, said)


def main():
    server, guest, softgpu, programs, way = sys.argv[1:6]
    found = list(those.chosen(programs, sys.argv[6:]))
    wrong = those.compared(found, lambda p, running: compare(p, (guest, softgpu), running), server, softgpu + "/libcuda.so.1", way)
    print("\n".join(wrong + ["%d programs over %s, %d ended differently" % (len(found), way, len(wrong))]))
    return 1 if wrong or not found else 0


sys.exit(main())
