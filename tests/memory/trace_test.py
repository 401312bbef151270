#!/usr/bin/env python3
"""Records what programs allocate and replays it: nothing is refused, and of what the pool reserves little is not in use.

usage: trace_test.py TESSERA MEMORY_LIMIT ASYNC_ALLOC FORK_EXEC [unittest arguments]
"""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

TESSERA, MEMORY_LIMIT, ASYNC_ALLOC, FORK_EXEC = sys.argv[1:5]
MIB = 1 << 20


class Trace(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.log = os.path.join(self.folder.name, "log")
        self.env = dict(os.environ, TESSERA_SOCKET=os.path.join(self.folder.name, "socket"), TESSERA_DRIVER="software",
                        SOFTGPU_STATE_DIR=self.folder.name, SOFTGPU_MEMORY="1GiB")

    def tearDown(self):
        try:
            with open(self.env["TESSERA_SOCKET"] + ".pid") as file:
                os.kill(int(file.read()), signal.SIGTERM)
        except (OSError, ValueError):
            pass
        self.folder.cleanup()

    def call(self, *words):
        return subprocess.run([TESSERA, "trace", *words], env=self.env, capture_output=True, text=True, timeout=60)

    def record(self, program):
        done = self.call("record", "--output", self.log, "--", program)
        self.assertEqual(done.returncode, 0, done.stderr)
        return sorted(glob.glob(self.log + "*"))

    def replay(self, *words):
        done = self.call("replay", *words, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_program_that_fills_the_device(self):
        self.assertEqual(self.record(MEMORY_LIMIT), [self.log])
        figures = self.replay(self.log)
        self.assertEqual(figures["refused"], 0)
        self.assertGreater(figures["peak_active_bytes"], 256 * MIB)
        self.assertLessEqual(figures["fragmentation"], 0.10)
        self.assertEqual(figures["active_bytes_at_end"], 0)
        self.assertGreater(self.replay(self.log, "--mem", "64MiB")["refused"], 0)
        self.assertRegex(self.call("replay", self.log).stdout, r"^\d+ allocations, 0 refused; ")

    def test_a_program_that_allocates_in_streams(self):
        self.assertEqual(self.record(ASYNC_ALLOC), [self.log])
        figures = self.replay(self.log)
        self.assertGreater(figures["allocations"], 10)
        self.assertEqual((figures["refused"], figures["active_bytes_at_end"]), (0, 0))

    def test_each_process_has_a_log_of_its_own(self):
        logs = self.record(FORK_EXEC)
        self.assertGreater(len(logs), 1)
        for log in logs:
            self.assertGreater(self.replay(log)["allocations"], 0)

    def test_what_is_no_log(self):
        for text in (b"", b"TALG\x02", b"TALG\x01\x09"):
            with open(self.log, "wb") as file:
                file.write(text)
            done = self.call("replay", self.log)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
        self.assertIn("cannot read", self.call("replay", self.log + "no").stderr)


unittest.main(argv=sys.argv[:1] + sys.argv[5:])
