#!/usr/bin/env python3
"""Code and tensors are sent once to a server that keeps them, each identity's apart, and what can be compressed is on a slow link.

usage: payloads_test.py TESSERA RELAY LIB_DIR PROGRAM_DIR [unittest arguments]
"""
import os
import pathlib
import subprocess
import sys
import unittest

from faults_test import LIB, PATIENCE, PROGRAMS, Relay, Remote

MODULES, MODULE_BYTES = 10, 5_000_000
SLOW = "rate=25000000"  # bytes a second: slower than any digest or encoding


class Payloads(Remote):
    def setUp(self):
        super().setUp()
        self.stop_server(self.server)
        self.cache = os.path.join(self.folder.name, "cache")

    def serve(self, *options):
        self.start_server("127.0.0.1:0", *options)

    def sent(self, *words, relay=(), token="", **more):
        """Bytes to the server and back of a program that has passed."""
        return [int(count) for count in self.passed(*words, relay=relay, TESSERA_SERVER_TOKEN_FILE=token, **more).tell("bytes").split()]

    def passed(self, *words, relay=(), seed=1, **more):
        """The network behind which it has."""
        network = Relay(self, self.port, *relay, seed=seed)
        environment = dict(self.environment, TESSERA_SERVER=network.server, LD_LIBRARY_PATH=LIB, **more)
        done = subprocess.run([os.path.join(PROGRAMS, "large_payloads"), *words], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        self.assertIn("PASS", done.stdout)
        return network

    def files(self):
        return [path for path in pathlib.Path(self.cache).rglob("*") if path.is_file() and path.name != "lock"]

    def test_modules_are_sent_once(self):
        self.serve("--cache-dir", self.cache)
        first, _ = self.sent("modules", str(MODULES), str(MODULE_BYTES))
        self.assertGreater(first, MODULES * MODULE_BYTES)
        second, _ = self.sent("modules", str(MODULES), str(MODULE_BYTES))
        self.assertLess(second, 1_000_000)
        self.stop_server(self.server)
        self.serve("--cache-dir", self.cache)
        self.assertLess(self.sent("modules", str(MODULES), str(MODULE_BYTES))[0], 1_000_000)

    def test_what_is_damaged_is_sent_again(self):
        self.serve("--cache-dir", self.cache)
        self.sent("modules", "2", "200000")
        damaged, removed = self.files()
        os.chmod(damaged, 0o600)
        content = bytearray(damaged.read_bytes())
        content[-100] ^= 1
        damaged.write_bytes(content)
        removed.unlink()
        self.assertGreater(self.sent("modules", "2", "200000")[0], 400_000)
        self.assertLess(self.sent("modules", "2", "200000")[0], 100_000)

    def test_nothing_is_kept_where_nobody_has_asked_for_it(self):
        self.serve()
        for _ in range(2):
            self.assertGreater(self.sent("modules", "2", "200000")[0], 400_000)
        self.assertFalse(os.path.exists(self.cache))

    def test_the_cache_is_bounded(self):
        self.serve("--cache-dir", self.cache, "--cache-size", "1MiB", "--cache-per-identity", "500KiB")
        self.sent("modules", "8", "200000")
        self.assertLessEqual(sum(path.stat().st_size for path in self.files()), 500 << 10)
        self.assertEqual(len(self.files()), 2)

    def test_each_identity_has_its_own(self):
        tokens = []
        for name in ("alice", "bob"):
            tokens.append(os.path.join(self.folder.name, name + ".token"))
            with open(os.open(tokens[-1], os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(f"0123456789abcdef of {name}\n")
        identities = os.path.join(self.folder.name, "identities.yaml")
        with open(identities, "w") as file:
            file.write("identities:\n  alice: {token-file: alice.token}\n  bob: {token-file: bob.token}\n")
        self.environment["TESSERA_SERVER_IDENTITY"] = "alice"
        self.serve("--cache-dir", self.cache, "--identities", identities)
        self.sent("modules", "2", "200000", token=tokens[0])
        self.assertLess(self.sent("modules", "2", "200000", token=tokens[0])[0], 100_000)
        self.environment["TESSERA_SERVER_IDENTITY"] = "bob"
        self.assertGreater(self.sent("modules", "2", "200000", token=tokens[1])[0], 400_000)

    def test_tensors_are_sent_once_on_a_slow_link(self):
        self.serve("--cache-dir", self.cache)
        words = ("random", "16", str(2 << 20))
        self.assertGreater(self.sent(*words, relay=(SLOW,))[0], 16 * 2 << 20)
        # The first few tell how slow the link is.
        self.assertLess(self.sent(*words, relay=(SLOW,))[0], 16 << 20)

    def test_what_can_be_compressed_is_on_a_slow_link(self):
        self.serve()
        for kind in ("text", "zeros"):
            up, down = self.sent(kind, "1", str(48 << 20), relay=(SLOW,))
            self.assertLess(up, 40 << 20, kind)
            self.assertLess(down, 40 << 20, kind)
        # Whatever the link, where what is sent is not worth it.
        up, down = self.sent("random", "1", str(16 << 20), relay=(SLOW,))
        for count in (up, down):
            self.assertLess(count, (16 << 20) * 1.01)

    def test_large_copies_go_over_several_connections_where_those_carry_more(self):
        self.serve()
        # The rate is each connection's.
        network = self.passed("random", "1", str(16 << 20), "6", relay=("rate=40000000",))
        self.assertGreater(int(network.tell("ever")), 1)
        network = self.passed("random", "1", str(16 << 20), "2", relay=("rate=40000000",), TESSERA_SERVER_STRIPES="1")
        self.assertEqual(int(network.tell("ever")), 1)

    def test_connections_for_large_copies_may_break(self):
        self.serve()
        for seed in (1, 2):
            for fault in ("reset-every=12000000", "drop-every=12000000"):
                network = self.passed("random", "1", str(12 << 20), "6", relay=("rate=40000000", fault), seed=seed)
                self.assertGreater(int(network.tell("ever")), 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
