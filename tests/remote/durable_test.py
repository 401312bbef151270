#!/usr/bin/env python3
"""Sessions that are made again: servers and their processes are killed in the midst of programs of which every byte is known.

usage: durable_test.py PLAIN_SERVER TESSERA GUEST_FOLDER SOFTGPU_FOLDER PROGRAMS_FOLDER [unittest arguments]
"""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

SERVER, TESSERA, GUEST, SOFTGPU, PROGRAMS = sys.argv[1:6]
PATIENCE = 120  # seconds; nothing here takes them unless it hangs


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """One that may be killed, and started again at the same port."""

    def __init__(self, test, name, memory="256MiB"):
        self.address = f"127.0.0.1:{free_port()}"
        self.environment = dict(test.environment, SOFTGPU_STATE_DIR=os.path.join(test.folder.name, name), SOFTGPU_DEVICES="1",
                                SOFTGPU_MEMORY=memory, SOFTGPU_SMS="2", SOFTGPU_LOG="error")
        self.process = None
        self.start()
        test.addCleanup(self.kill)

    def start(self):
        self.process = subprocess.Popen([SERVER, self.address, SOFTGPU + "/libcuda.so.1"], env=self.environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        if not self.process.stdout.readline():
            raise RuntimeError("the server does not start")

    def sessions(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def kill_sessions(self):
        for pid in self.sessions():
            os.kill(pid, signal.SIGKILL)

    def kill(self):
        if self.process is None:
            return
        sessions = self.sessions() if self.process.poll() is None else []
        self.process.kill()
        for pid in sessions:  # as a machine that goes down
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stdout.close()
        self.process = None


class Durable(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in ("TESSERA_SLICE", "TESSERA_SERVER", "LD_LIBRARY_PATH")}

    def run_chain(self, servers, at_step, steps=60, seed=1, program="driver_durable_chain", **more):
        """The program's output, and what it said of errors; `at_step` is called with each step that it tells of."""
        environment = dict(self.environment, LD_LIBRARY_PATH=GUEST, TESSERA_SERVER=",".join(servers), TESSERA_SERVER_DURABLE="on",
                           TESSERA_SERVER_GRACE="20", TESSERA_LOG="warn", **more)
        process = subprocess.Popen([os.path.join(PROGRAMS, program), str(steps), str(seed)], env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        said = []
        errors = threading.Thread(target=lambda: said.append(process.stderr.read()))
        errors.start()
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        output = []
        for line in process.stdout:
            output.append(line)
            if line.startswith("step "):
                at_step(int(line.split()[1]))
        process.wait()
        watchdog.cancel()
        errors.join()
        process.stdout.close()
        process.stderr.close()
        return process.returncode, "".join(output), said[0]

    def passes(self, *arguments, **more):
        code, output, said = self.run_chain(*arguments, **more)
        self.assertEqual(code, 0, output[-500:] + said[-3000:])
        self.assertIn("PASS", output)
        return said

    def test_a_session_that_is_killed(self):
        server = Server(self, "one")
        for seed in (1, 2, 3):
            steps = set(random.Random(seed).sample(range(60), 3))
            said = self.passes([server.address], lambda step: step in steps and server.kill_sessions(), seed=seed)
            self.assertGreaterEqual(said.count("the session goes on as it was"), 1, said)

    def test_a_server_that_is_killed_and_started_again(self):
        server = Server(self, "one")

        def again(step):
            if step in (20, 41):
                server.kill()
                server.start()
        for seed in (4, 5):
            said = self.passes([server.address], again, seed=seed)
            self.assertGreaterEqual(said.count("the session goes on as it was"), 1, said)

    def test_a_server_that_is_killed_while_a_session_is_made_again(self):
        server = Server(self, "one")
        steps = {20, 21, 22, 23, 50, 51, 52}
        said = self.passes([server.address], lambda step: step in steps and (server.kill(), server.start()), seed=116)
        self.assertIn("the session goes on as it was", said)

    def test_checkpoints_where_the_journal_is_small(self):
        server = Server(self, "one")
        for seed in (6, 7):
            steps = set(random.Random(seed).sample(range(100), 4))
            said = self.passes([server.address], lambda step: step in steps and server.kill_sessions(), steps=100, seed=seed,
                               TESSERA_SERVER_JOURNAL="1MiB")
            self.assertGreaterEqual(said.count("the session goes on as it was"), 1, said)

    def test_on_another_server(self):
        first, second = Server(self, "one"), Server(self, "two")
        said = self.passes([first.address, second.address], lambda step: first.kill() if step == 30 else None, seed=8)
        self.assertIn("the session goes on as it was", said)

    def test_over_shared_memory(self):
        server = Server.__new__(Server)
        server.address = "shm:" + os.path.join(self.folder.name, "socket")
        server.environment = dict(self.environment, SOFTGPU_STATE_DIR=os.path.join(self.folder.name, "one"), SOFTGPU_DEVICES="1",
                                  SOFTGPU_MEMORY="256MiB", SOFTGPU_SMS="2", SOFTGPU_LOG="error")
        server.start()
        self.addCleanup(server.kill)
        said = self.passes([server.address], lambda step: step in (15, 40) and server.kill_sessions(), seed=9)
        self.assertGreaterEqual(said.count("the session goes on as it was"), 1, said)

    def test_by_the_command_in_slices(self):
        environment = dict(self.environment, TESSERA_DRIVER="software", SOFTGPU_STATE_DIR=os.path.join(self.folder.name, "softgpu"),
                           SOFTGPU_DEVICES="1", SOFTGPU_SMS="2", SOFTGPU_MEMORY="512MiB", SOFTGPU_LOG="error",
                           TESSERA_SOCKET=os.path.join(self.folder.name, "tesserad"), TESSERA_LOG="warn")
        daemon = subprocess.Popen([os.path.join(os.path.dirname(TESSERA), "tesserad"), "--foreground"], env=environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        server = subprocess.Popen([TESSERA, "serve", "--json", "--listen", "127.0.0.1:0"], env=environment, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        address = json.loads(server.stdout.readline())["addresses"][0]
        program = subprocess.Popen([TESSERA, "run", "--server", address, "--durable", "--journal", "4MiB", "--mem", "128MiB", "--",
                                    os.path.join(PROGRAMS, "driver_durable_chain"), "60", "11"], env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        output = []
        for line in program.stdout:
            output.append(line)
            if line in ("step 20\n", "step 45\n"):
                with open(f"/proc/{server.pid}/task/{server.pid}/children") as file:
                    for pid in file.read().split():
                        os.kill(int(pid), signal.SIGKILL)
        said = program.stderr.read()
        program.wait()
        program.stdout.close()
        program.stderr.close()
        self.assertEqual(program.returncode, 0, "".join(output)[-500:] + said)
        self.assertIn("PASS", output[-1])
        self.assertIn("the session goes on as it was", said)

    def test_what_cannot_be_made_again_is_told_of(self):
        server = Server(self, "one")
        environment = dict(self.environment, LD_LIBRARY_PATH=GUEST, TESSERA_SERVER=server.address, TESSERA_SERVER_DURABLE="on", TESSERA_LOG="warn")
        done = subprocess.run([os.path.join(PROGRAMS, "graphs.static")], env=environment, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("the session cannot be made again from here on: cu", done.stderr)

    def test_programs_that_need_nothing_of_it(self):
        server = Server(self, "one")
        for program in ("driver_vector_add", "vector_add.static", "reduction.static", "memory_kinds.static"):
            environment = dict(self.environment, LD_LIBRARY_PATH=GUEST, TESSERA_SERVER=server.address, TESSERA_SERVER_DURABLE="on")
            done = subprocess.run([os.path.join(PROGRAMS, program)], env=environment, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, program + done.stdout + done.stderr)

    def test_without_it_the_error_says_what_is_lost(self):
        server = Server(self, "one")
        environment = dict(self.environment, LD_LIBRARY_PATH=GUEST, TESSERA_SERVER=server.address, TESSERA_SERVER_GRACE="1", TESSERA_LOG="error")
        process = subprocess.Popen([os.path.join(PROGRAMS, "driver_durable_chain"), "500"], env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line == "step 10\n":
                server.kill_sessions()
        said = process.stderr.read()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        self.assertNotEqual(process.returncode, 0)
        self.assertRegex(said, r"what it had on the GPU with it, \d+ allocations of \S+ together")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
