#!/usr/bin/env python3
"""Runs the CUDA programs of the tests on a GPU across a wire: each has to end as it does on this machine.

usage: programs_test.py PLAIN_SERVER GUEST_FOLDER SOFTGPU_FOLDER PROGRAMS_FOLDER WAY PATTERN...

WAY is tcp, shm or unix; PATTERN names programs as a shell would. Exit code 1 and a line for each that ended differently.
"""
import concurrent.futures
import fnmatch
import os
import pathlib
import subprocess
import sys
import tempfile

# What is left out, and why: it concerns one machine only, cannot be seen across the wire, or measures what is shared here.
LEFT_OUT = {
    "driver_coredump": "core dumps of the GPU are the server's",
    "driver_shared_handles": "descriptors do not travel",
    "driver_shared_pools": "descriptors do not travel",
    "interprocess": "descriptors do not travel",
    "driver_lazy_loading": "a function is loaded when its parameters are asked for",
    "driver_batched_copies": "three-dimensional batches are refused",
    "driver_graph_memory": "a child graph cannot be given away",
    "driver_graphs": "graphs are not printed into files",
    "driver_legacy_calls": "copies of CUDA 2 with pitches are refused",
    "driver_module_globals": "fills the GPU, which other programs of this test use",
    "cub_primitives": "now and then wrong on a busy machine, without a wire, too",
    "device_heap": "measures the memory of the GPU, which other programs of this test use",
    "print_assert": "what a failed assertion says is on the server's standard error",
}
# Programs that want arguments, or are driven by other tests.
DRIVEN = ["driver_leak_hunt", "driver_memory_walk*", "driver_fork_exec", "driver_round_the_gate", "driver_limit_changes",
          "driver_gated_copies", "driver_loading_in_company", "driver_larger_together", "driver_ipc_*",
          "driver_closed_fds", "driver_dlclose", "driver_side_by_side", "driver_memory_limit", "driver_managed_memory"]
SKIPPED = 77


def ends(program, environment):
    try:
        run = subprocess.run([program], env={**os.environ, **environment}, capture_output=True, text=True,
                             errors="replace", timeout=100)
        return run.returncode, (run.stdout[-300:] + run.stderr[-300:]).strip()
    except subprocess.TimeoutExpired:
        return "no end within 100 s", ""


def compare(program, folders, server):
    guest, softgpu = folders
    here, said = ends(program, {"LD_LIBRARY_PATH": softgpu})
    if here == SKIPPED:
        return None
    if here != 0:
        return "%s fails without a wire: %s %s" % (program.name, here, said)
    there, said = ends(program, {"LD_LIBRARY_PATH": guest, "TESSERA_SERVER": server})
    return None if there == here else "%s: %s across the wire, %s here\n  %s" % (program.name, there, here, said)


def chosen(folder, patterns):
    for program in sorted(pathlib.Path(folder).iterdir()):
        name = program.name.split(".")[0]
        is_one = os.access(program, os.X_OK) and program.is_file() and program.suffix in ("", ".static", ".shared")
        wanted = any(fnmatch.fnmatch(program.name, p) for p in patterns)
        if is_one and wanted and name not in LEFT_OUT and not any(fnmatch.fnmatch(name, d) for d in DRIVEN):
            yield program


def main():
    server, guest, softgpu, programs, way = sys.argv[1:6]
    with tempfile.TemporaryDirectory() as folder:
        address = {"tcp": "127.0.0.1:0", "shm": "shm:%s/s" % folder, "unix": "unix:%s/s" % folder}[way]
        process = subprocess.Popen([server, address, softgpu + "/libcuda.so.1"], stdout=subprocess.PIPE, text=True)
        try:
            at = process.stdout.readline().strip()
            found = list(chosen(programs, sys.argv[6:]))
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                wrong = [w for w in pool.map(lambda p: compare(p, (guest, softgpu), at), found) if w]
        finally:
            process.terminate()
            process.wait()
    print("\n".join(wrong + ["%d programs over %s, %d ended differently" % (len(found), way, len(wrong))]))
    return 1 if wrong or not found else 0


sys.exit(main())
