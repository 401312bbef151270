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
                           SOFTGPU_MEMORY=memory, SOFTGPU_SMS="2", SOFTGPU_LOG="error")
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

    def test_nvml_tells_of_the_servers_gpus(self):
        self.assertIn("2 devices", self.passes(self.servers[1:], "driver_several_devices"))

    def test_nvml_tells_what_the_program_has_taken(self):
        script = """
import ctypes
nvml, memory, device, name = ctypes.CDLL("libnvidia-ml.so.1"), (ctypes.c_ulonglong * 3)(), ctypes.c_void_p(), ctypes.create_string_buffer(96)
def check(result): assert result == 0, result
def told():
    check(nvml.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(device)))
    check(nvml.nvmlDeviceGetName(device, name, 96))
    check(nvml.nvmlDeviceGetMemoryInfo(device, memory))
    return name.value.decode(), memory[0] >> 20, memory[2] >> 20
check(nvml.nvmlInit_v2())
print(*told(), sep=",")
cuda, context, block = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p(), ctypes.c_uint64()
check(cuda.cuInit(0))
check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 1))
check(cuda.cuCtxSetCurrent(context))
check(cuda.cuMemAlloc_v2(ctypes.byref(block), ctypes.c_size_t(100 << 20)))
print(*told(), sep=",")
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE,
                              env=dict(self.environment, LD_LIBRARY_PATH=GUEST, TESSERA_SERVER=self.servers[1]))
        self.assertEqual(done.returncode, 0, done.stderr)
        before, after = done.stdout.splitlines()
        self.assertEqual(before.split(",")[1:], ["512", "0"])
        self.assertEqual(after.split(",")[1:], ["512", "100"])
        self.assertNotEqual(before.split(",")[0], "")

    def test_who_cannot_be_reached_is_named(self):
        done = self.run_with([self.servers[0], "tcp://127.0.0.1:1"], "driver_vector_add")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("server 2 of 2", done.stderr)
        self.assertIn("127.0.0.1:1", done.stderr)
        many = self.run_with(self.servers * 5, "driver_vector_add")
        self.assertIn("10 servers are named, of at most 8", many.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
