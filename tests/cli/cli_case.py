"""The command line tools in an installation tree of their own, as the tests of this folder have them.

What they are is said after the script's name: TESSERA TESSERAD FAKE_GUEST FAKE_NVML TWO_SOCKETS [unittest arguments]
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOOLS = sys.argv[1:5]
TWO_SOCKETS = sys.argv[5]  # a machine, as lstopo wrote it down


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="tessera-cli-")
        cls.bin = os.path.join(cls.root, "bin")
        guest, software = os.path.join(cls.root, "lib"), os.path.join(cls.root, "lib", "softgpu")
        os.makedirs(cls.bin)
        os.makedirs(software)
        shutil.copy(TOOLS[0], os.path.join(cls.bin, "tessera"))
        shutil.copy(TOOLS[1], os.path.join(cls.bin, "tesserad"))
        shutil.copy(TOOLS[2], os.path.join(guest, "libcuda.so.1"))
        shutil.copy(TOOLS[3], os.path.join(software, "libcuda.so.1"))
        shutil.copy(TOOLS[3], os.path.join(software, "libnvidia-ml.so.1"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=self.root)
        self.socket = os.path.join(self.folder, "tesserad.sock")
        self.env = dict(os.environ, TESSERA_SOCKET=self.socket, TESSERA_DRIVER="software")
        for name in list(self.env):
            if name in ("TESSERA_SLICE", "TESSERA_LOG", "LIBCUDA_LOG_LEVEL") or name.startswith("CUDA_DEVICE_"):
                self.env.pop(name)

    def tearDown(self):
        self.stop_daemon()

    def stop_daemon(self):
        """Ends the daemon that `tessera run` started, if any."""
        try:
            with open(self.socket + ".pid") as file:
                pid = int(file.read())
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + 5
        while os.path.exists(self.socket) and time.monotonic() < deadline:
            time.sleep(0.01)

    def start(self, *words, **more):
        return subprocess.Popen([os.path.join(self.bin, words[0]), *words[1:]], env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def tessera(self, *words):
        process = self.start("tessera", *words)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def refused(self, code, text, *words):
        got, out, err = self.tessera(*words)
        self.assertEqual(got, code, err)
        self.assertEqual(out, "")
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn(text, err)

    def device_of_run(self, *words):
        path = os.path.join(self.folder, "summary")
        code, _, err = self.tessera("run", "--json-summary", path, *words, "--", "true")
        self.assertEqual((code, err), (0, ""))
        with open(path) as file:
            return json.load(file)["devices"][0]

    def slices(self):
        code, out, err = self.tessera("ps", "--json")
        self.assertEqual(code, 0, err)
        return json.loads(out)["slices"]

    def wait_for(self, condition):
        deadline = time.monotonic() + 10
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
