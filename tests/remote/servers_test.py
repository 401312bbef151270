#!/usr/bin/env python3
"""Several servers' GPUs as one list of devices.

usage: servers_test.py PLAIN_SERVER TESSERA GUEST_FOLDER SOFTGPU_FOLDER PROGRAMS_FOLDER [unittest arguments]
"""
import os
import subprocess
import sys
import tempfile
import unittest

SERVER, TESSERA, GUEST, SOFTGPU, PROGRAMS = sys.argv[1:6]
PATIENCE = 120  # seconds; nothing here takes them unless it hangs


class Servers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in ("TESSERA_SLICE", "TESSERA_SERVER", "LD_LIBRARY_PATH")}
        self.servers = [self.start("one", "1", "256MiB"), self.start("two", "2", "512MiB")]

    def start(self, name, devices, memory, way="127.0.0.1:0"):
        environment = dict(self.environment, SOFTGPU_STATE_DIR=os.path.join(self.folder.name, name), SOFTGPU_DEVICES=devices,
                           SOFTGPU_MEMORY=memory, SOFTGPU_SMS="2", SOFTGPU_LOG="none")
        server = subprocess.Popen([SERVER, way, SOFTGPU + "/libcuda.so.1"], env=environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        return server.stdout.readline().strip()

    def run_with(self, servers, program, *command):
        return subprocess.run([*command, os.path.join(PROGRAMS, program)], capture_output=True, text=True, timeout=PATIENCE,
                              env=dict(self.environment, LD_LIBRARY_PATH=GUEST, TESSERA_SERVER=",".join(servers), TESSERA_LOG="error"))

    def passes(self, servers, program, *command):
        done = self.run_with(servers, program, *command)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("PASS", done.stdout)
        return done.stdout

    def test_devices_of_two(self):
        self.assertIn("of 3 devices", self.passes(self.servers, "driver_between_devices"))

    def test_in_either_order_and_over_shared_memory(self):
        shared = self.start("three", "1", "256MiB", "shm:" + os.path.join(self.folder.name, "socket"))
        self.assertIn("of 3 devices", self.passes([shared, self.servers[1]], "driver_between_devices"))
        self.assertIn("of 3 devices", self.passes(list(reversed(self.servers)), "driver_between_devices"))

    def test_programs_of_one_device(self):
        for program in ("driver_vector_add", "memory_kinds.static", "graphs.static", "driver_memory_kinds"):
            self.passes(self.servers, program)

    def test_by_the_command(self):
        environment = dict(self.environment)
        done = subprocess.run([TESSERA, "run", "--server", ",".join(self.servers), "--", os.path.join(PROGRAMS, "driver_between_devices")],
                              env=environment, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("of 3 devices", done.stdout)

    def test_who_cannot_be_reached_is_named(self):
        done = self.run_with([self.servers[0], "tcp://127.0.0.1:1"], "driver_vector_add")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("server 2 of 2", done.stderr)
        self.assertIn("127.0.0.1:1", done.stderr)
        many = self.run_with(self.servers * 5, "driver_vector_add")
        self.assertIn("10 servers are named, of at most 8", many.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
