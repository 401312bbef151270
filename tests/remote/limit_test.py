#!/usr/bin/env python3
"""`tessera limit`: the limits of a running server, changed while sessions go on. What counts is bytes over the server's own clock.

usage: limit_test.py TESSERA LIB_DIR PROGRAM_DIR [unittest arguments]
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "driver"))
import asked  # noqa: E402
from session_processes import children  # noqa: E402

TESSERA, LIB, PROGRAMS = sys.argv[1:4]
PATIENCE = 120  # seconds; nothing here takes them unless it hangs
BURST = 256 << 10  # what goes at once after a pause (docs/remote.md)
SLACK = 64 << 10  # two shares of 10 ms at the rate before


class Limits(unittest.TestCase):
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
        with open(os.open(os.path.join(self.folder.name, "alice.token"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("0123456789abcdef0123456789abcdef\n")
        with open(os.path.join(self.folder.name, "identities.yaml"), "w") as file:
            file.write("identities:\n  alice: {token-file: alice.token, sessions: 2}\n")
        server = self.server = subprocess.Popen([TESSERA, "serve", "--json", "--listen", "127.0.0.1:0", "--identities",
                                   os.path.join(self.folder.name, "identities.yaml")], env=self.environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        self.address = json.loads(server.stdout.readline())["addresses"][0].removeprefix("tcp://")

    def limit(self, *words):
        done = subprocess.run([TESSERA, "limit", "--json", *words], env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.waiting = answer["server"].pop("waiting_process")  # comes and goes by itself
        return answer

    def refused(self, text, *words, code=1):
        done = subprocess.run([TESSERA, "limit", *words], env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(text, done.stderr)

    def start(self):
        program = subprocess.Popen([os.path.join(PROGRAMS, "vector_add.static")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env=dict(self.environment, LD_LIBRARY_PATH=LIB, TESSERA_SERVER=self.address,
                                            TESSERA_SERVER_TOKEN_FILE=os.path.join(self.folder.name, "alice.token")))
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def session(self):
        sessions = self.limit()["sessions"]
        return sessions[0] if sessions else None

    def beyond(self, way, count):
        """The session once it has had so many bytes that way."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            session = self.session()
            if session is not None and session[way]["bytes"] >= count:
                return session
            time.sleep(0.02)
        self.fail(f"no session has {count} bytes of {way}")

    def keeps_to(self, rate, way, least):
        """That no more goes than the rate allows, in a window in which `least` bytes at least have gone."""
        first = self.beyond(way, 1)
        second = self.beyond(way, first[way]["bytes"] + least)
        allowed = rate * (second["seconds"] - first["seconds"]) + BURST + SLACK
        self.assertLessEqual(second[way]["bytes"] - first[way]["bytes"], allowed)
        self.assertLessEqual(second[way]["rate"], rate)
        return second

    def test_while_a_session_goes_on(self):
        self.assertEqual(self.limit("--upload", "1MB/s", "--download", "2MB/s")["server"],
                         {"sessions": 0, "max_sessions": 64, "download": 2000000, "upload": 1000000})
        program = self.start()
        self.beyond("upload", 2 * BURST)
        self.keeps_to(1e6, "upload", 1 << 19)
        # Narrower for those of one identity, then for nobody: the session that is there follows.
        changed = self.limit("alice", "--upload", "500kB/s", "--link-weight", "50")
        self.assertEqual(changed["identities"][0]["upload"], {"most": 500000, "guaranteed": None, "weight": 50})
        self.assertLessEqual(changed["sessions"][0]["upload"]["rate"], 500000)
        self.keeps_to(5e5, "upload", 1 << 19)
        self.assertIsNone(program.poll())
        self.limit("alice", "--upload", "none", "--link-weight", "none")
        freed = self.limit("--upload", "none", "--download", "none")
        self.assertEqual((freed["server"]["upload"], freed["server"]["download"]), (None, None))
        self.assertEqual([(s["upload"]["rate"], s["download"]["rate"]) for s in freed["sessions"]], [(None, None)])
        output, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual(program.returncode, 0, output)
        self.assertIn("PASS", output)

    def test_of_sessions_that_begin_later(self):
        changed = self.limit("alice", "--sessions", "1", "--mem", "64MiB", "--sm", "50", "--upload", "1MB/s")
        self.assertEqual([(i["max_sessions"], i["memory_bytes"], i["share_permille"]) for i in changed["identities"]], [(1, 64 << 20, 500)])
        program = self.start()
        self.beyond("upload", 1)
        slices = json.loads(subprocess.run([TESSERA, "ps", "--json"], env=self.environment, capture_output=True, text=True).stdout)["slices"]
        self.assertEqual([s["devices"][0]["limit_bytes"] for s in slices], [64 << 20])
        second = self.start()
        output, _ = second.communicate(timeout=PATIENCE)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn("has 1 sessions, as many as it may have", output)
        self.limit("alice", "--upload", "none")
        output, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual(program.returncode, 0, output)
        self.assertIn("alice", subprocess.run([TESSERA, "limit"], env=self.environment, capture_output=True, text=True).stdout)

    def test_it_says_which_process_waits_for_a_session(self):
        def waits(but=()):
            """That the only other process of the server is the one that it says waits."""
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                self.limit()
                others = set(children(self.server.pid)) - set(but)
                if self.waiting is not None and others == {self.waiting}:
                    return self.waiting
                time.sleep(0.02)
            self.fail(f"of {children(self.server.pid)} it says that {self.waiting} waits")
        self.limit("--upload", "100kB/s")  # so that the session outlasts this
        first = waits()
        program = self.start()
        session = self.beyond("upload", 1)["pid"]
        self.assertEqual(session, first)
        self.assertNotEqual(waits(but=[session]), session)
        self.limit("--max-sessions", "1")
        self.limit()
        self.assertIsNone(self.waiting, "no session may begin")
        self.limit("--max-sessions", "2")
        waits(but=[session])
        program.kill()

    def test_refusals_change_nothing(self):
        before = self.limit()
        self.refused("nobody is called 'bob'", "bob", "--upload", "1MB/s")
        self.refused("nobody is called 'bob'", "bob")
        self.refused("name one", "--sessions", "3", code=2)
        self.refused("not an identity's", "alice", "--max-sessions", "3", code=2)
        self.refused("--upload", "alice", "--upload", "fast", code=2)
        self.refused("does 'tessera serve' run there?", "--control", os.path.join(self.folder.name, "nothing"))
        self.assertEqual(self.limit(), before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
