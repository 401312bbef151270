#!/usr/bin/env python3
"""CUDA programs on a server behind a network that is slow, narrow or broken, and what is left when either side is killed: no wrong
result, no hang, no process and no slice.

usage: faults_test.py TESSERA RELAY LIB_DIR PROGRAM_DIR [unittest arguments]
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "driver"))
import asked  # noqa: E402
from session_processes import children, session_processes  # noqa: E402

TESSERA, RELAY, LIB, PROGRAMS = sys.argv[1:5]
PATIENCE = 120  # seconds; nothing here takes them unless it hangs


def comes_true(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Relay:
    def __init__(self, test, port, *settings, seed=1):
        self.process = subprocess.Popen([RELAY, "--to", f"127.0.0.1:{port}", "--seed", str(seed), *settings], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.end)
        self.server = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Remote(unittest.TestCase):
    """A server over the software GPU, and programs that use it."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.environment = dict(os.environ, TESSERA_DRIVER="software", SOFTGPU_STATE_DIR=os.path.join(self.folder.name, "softgpu"),
                                SOFTGPU_DEVICES="1", SOFTGPU_SMS="2", SOFTGPU_MEMORY="512MiB", SOFTGPU_LOG="error",
                                TESSERA_SOCKET=os.path.join(self.folder.name, "tesserad"), TESSERA_LOG="error")
        for name in ("TESSERA_SLICE", "TESSERA_SERVER", "LD_LIBRARY_PATH"):
            self.environment.pop(name, None)
        daemon = asked.start_daemon(os.path.dirname(TESSERA), environment=self.environment)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        self.start_server()

    def start_server(self, listen="127.0.0.1:0", *options):
        self.server = subprocess.Popen([TESSERA, "serve", "--json", "--listen", listen, *options], env=self.environment, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.stop_server, self.server)
        self.port = int(json.loads(self.server.stdout.readline())["addresses"][0].rsplit(":", 1)[1])

    def stop_server(self, server):
        if server.poll() is None:
            server.terminate()
            self.assertEqual(server.wait(timeout=PATIENCE), 0)
        server.stdout.close()

    def start(self, server, program, **more):
        environment = dict(self.environment, TESSERA_SERVER=server, TESSERA_SERVER_CHECKSUMS="on", LD_LIBRARY_PATH=LIB, **more)
        program = subprocess.Popen([os.path.join(PROGRAMS, program)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def passes(self, program):
        output, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual(program.returncode, 0, output[-2000:])
        self.assertIn("PASS", output)

    def sessions(self):
        return session_processes(TESSERA, self.server.pid, self.environment, PATIENCE)

    def slices(self):
        done = subprocess.run([TESSERA, "ps", "--json"], env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        return json.loads(done.stdout)["slices"]


class Networks(Remote):
    def begin(self, server):
        """A program that has memory on the server by now."""
        program = self.start(server, "vector_add.static")
        self.assertTrue(comes_true(lambda: any(slice["devices"][0]["allocations"] > 0 for slice in self.slices())))
        return program

    def test_cut_into_pieces(self):
        relay = Relay(self, self.port, "split=1", "jitter=50")
        self.passes(self.start(relay.server, "vector_add.static"))

    def test_merged_and_slow(self):
        relay = Relay(self, self.port, "merge=300", "delay=2000", "jitter=1000")
        self.passes(self.start(relay.server, "reduction.static"))

    def test_narrow(self):
        relay = Relay(self, self.port, "rate=20000000")
        self.passes(self.start(relay.server, "vector_add.static"))

    def test_resets_and_ends(self):
        for seed in (1, 2):
            for settings in (("reset-every=3000000",), ("drop-every=3000000",), ("reset-every=5000000", "stall-every=1000000", "stall=50000")):
                relay = Relay(self, self.port, *settings, seed=seed)
                self.passes(self.start(relay.server, "vector_add.static"))

    def test_corruption(self):
        for seed in (1, 2, 3):
            relay = Relay(self, self.port, "corrupt-every=3000000", seed=seed)
            self.passes(self.start(relay.server, "vector_add.static"))

    def test_nothing_for_five_seconds(self):
        relay = Relay(self, self.port, "rate=4000000")
        program = self.begin(relay.server)
        self.assertEqual(relay.tell("hold"), "ok")
        time.sleep(5)
        self.assertIsNone(program.poll())
        self.assertEqual(relay.tell("release"), "ok")
        self.assertEqual(relay.tell("rate=0"), "ok")
        self.passes(program)

    def test_refused_for_a_while(self):
        relay = Relay(self, self.port, "rate=4000000")
        program = self.begin(relay.server)
        for command in ("refuse", "reset"):
            self.assertEqual(relay.tell(command), "ok")
        time.sleep(1)
        for command in ("rate=0", "accept"):
            self.assertEqual(relay.tell(command), "ok")
        self.passes(program)


class Busy(Remote):
    def busy(self, **more):
        """A program in the midst of its work, behind a narrow network."""
        relay = Relay(self, self.port, "rate=2000000")
        program = self.start(relay.server, "vector_add.static", **more)
        self.assertTrue(comes_true(lambda: len(self.sessions()) == 1 and len(self.slices()) == 1))
        return relay, program


class Ends(Busy):
    def test_a_server_that_is_killed_is_told_of(self):
        _, program = self.busy(TESSERA_SERVER_GRACE="1")
        processes = children(self.server.pid)  # the one that waits for the next session, too
        self.assertGreaterEqual(len(processes), 1)
        self.server.kill()
        self.server.wait()
        output, _ = program.communicate(timeout=PATIENCE)
        self.assertNotEqual(program.returncode, 0)
        self.assertNotIn("PASS", output)
        self.assertTrue(comes_true(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in processes)))
        self.assertTrue(comes_true(lambda: not self.slices()))

    def test_a_session_that_is_killed_is_told_of(self):
        _, program = self.busy(TESSERA_SERVER_GRACE="1")
        os.kill(self.sessions()[0], signal.SIGKILL)
        output, _ = program.communicate(timeout=PATIENCE)
        self.assertNotEqual(program.returncode, 0)
        self.assertNotIn("PASS", output)
        self.assertTrue(comes_true(lambda: not self.slices()))
        self.passes(self.start(f"127.0.0.1:{self.port}", "vector_add.static"))

    def test_a_server_that_ends_takes_its_sessions_along(self):
        _, program = self.busy(TESSERA_SERVER_GRACE="1")
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(timeout=PATIENCE), 0)
        output, _ = program.communicate(timeout=PATIENCE)
        self.assertNotEqual(program.returncode, 0, output)
        self.assertTrue(comes_true(lambda: not self.slices()))


class Abandoned(Busy):
    """It takes as long as sessions are kept for their clients."""

    def leaves_nothing(self, program):
        program.kill()
        self.assertTrue(comes_true(lambda: not self.sessions(), PATIENCE), "a session outlives its client")
        self.assertTrue(comes_true(lambda: not self.slices()))

    def test_a_client_that_is_killed_leaves_nothing(self):
        self.leaves_nothing(self.busy()[1])

    def test_nor_does_one_that_nobody_could_tell_of(self):
        self.stop_server(self.server)
        self.start_server("127.0.0.1:0", "--keep", "2")
        relay, program = self.busy()
        self.assertEqual(relay.tell("hold"), "ok")
        self.leaves_nothing(program)

    def test_a_kernel_that_never_ends_keeps_no_session(self):
        program = self.start(f"127.0.0.1:{self.port}", "../remote/endless")
        self.assertIn("running", program.stdout.readline())
        self.leaves_nothing(program)

    def test_a_process_that_is_known_ends_its_session_at_once(self):
        path = os.path.join(self.folder.name, "s")
        self.stop_server(self.server)
        self.server = subprocess.Popen([TESSERA, "serve", "--json", "--listen", "unix:" + path, "--keep", "86400"], env=self.environment,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.stop_server, self.server)
        self.server.stdout.readline()
        program = self.start("unix:" + path, "../remote/endless")
        self.assertIn("running", program.stdout.readline())
        self.leaves_nothing(program)


class Command(Remote):
    """`tessera run --server`, with a token and with limits."""

    def setUp(self):
        super().setUp()
        token = os.path.join(self.folder.name, "alice.token")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("0123456789abcdef0123456789abcdef\n")
        identities = os.path.join(self.folder.name, "identities.yaml")
        with open(identities, "w") as file:
            file.write("identities:\n  alice: {token-file: alice.token, mem: 64MiB, sm: 50}\n")
        self.stop_server(self.server)
        self.start_server("127.0.0.1:0", "--identities", identities)
        self.alice = ("--server", f"127.0.0.1:{self.port}", "--token-file", token)

    def run_there(self, *options, program="vector_add.static"):
        return subprocess.run([TESSERA, "run", *options, "--", os.path.join(PROGRAMS, program)], env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)

    def test_with_the_token(self):
        done = self.run_there(*self.alice)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("PASS", done.stdout)

    def test_limits_are_the_servers(self):
        program = self.start(self.alice[1], "vector_add.static", TESSERA_SERVER_TOKEN_FILE=self.alice[3])
        self.assertTrue(comes_true(lambda: self.slices() or program.poll() is not None))
        for slice in self.slices():
            self.assertEqual(slice["devices"][0]["limit_bytes"], 64 << 20)
            self.assertEqual(slice["devices"][0]["compute"]["share_permille"], 500)
        self.passes(program)

    def test_refusals_say_why(self):
        for options, text in (((*self.alice, "--mem", "128MiB"), "'alice' may have"), (self.alice[:2], "give --token-file")):
            done = self.run_there(*options)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stdout)
        for options, text in (((*self.alice, "--name", "x"), "the slice is the server's"), (self.alice[2:], "--server is missing"),
                              ((*self.alice[:2], "--token-file", "/no/such/file"), "/no/such/file")):
            done = self.run_there(*options)
            self.assertEqual(done.returncode, 2)
            self.assertIn(text, done.stdout)


class Many(Remote):
    def test_many_clients_at_once(self):
        programs = [self.start(f"127.0.0.1:{self.port}", "vector_add.static") for _ in range(32)]
        for program in programs:
            self.passes(program)
        self.assertTrue(comes_true(lambda: not self.sessions()))
        self.assertTrue(comes_true(lambda: not self.slices()))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
