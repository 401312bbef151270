#!/usr/bin/env python3
"""What `tessera serve` refuses to start with, and how it starts and ends. Sessions are tested elsewhere.

usage: serve_test.py TESSERA [unittest arguments]
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

TESSERA = sys.argv[1]
PREAMBLE = b"TSRWIRE\0" + bytes([1, 0, 1, 1]) + bytes(20)


class Serve(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.environment = dict(os.environ, TESSERA_SOCKET=os.path.join(self.folder.name, "tesserad"))

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def refused(self, text, *arguments):
        done = subprocess.run([TESSERA, "serve", *arguments], capture_output=True, text=True, timeout=30, env=self.environment)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout, "")
        self.assertIn(text, done.stderr)

    def start(self, *arguments):
        server = subprocess.Popen([TESSERA, "serve", "--json", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=self.environment)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        line = server.stdout.readline()
        self.assertTrue(line, server.stderr.read() if line == "" else "")
        return server, json.loads(line)["addresses"]

    def test_nobody_unknown_from_other_machines(self):
        self.refused("--token-file", "--listen", "0.0.0.0:0")
        self.refused("--client-ca", "--listen", "[::]:0")
        self.refused("--token-file", "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0")

    def test_files_that_are_wrong(self):
        token = self.write("token", "0123456789abcdef0123456789abcdef\n", 0o644)
        self.refused("chmod 600", "--listen", "127.0.0.1:0", "--token-file", token)
        self.refused("can be guessed", "--listen", "127.0.0.1:0", "--token-file", self.write("short", "secret"))
        self.refused("cannot use the certificate", "--listen", "127.0.0.1:0", "--tls-cert", token, "--tls-key", token)
        self.refused("--tls-key", "--listen", "127.0.0.1:0", "--tls-cert", token)
        self.refused("--tls-cert", "--listen", "127.0.0.1:0", "--client-ca", token)
        self.refused(":1: unknown key 'people'", "--listen", "127.0.0.1:0", "--identities", self.write("people", "people: {}"))

    def test_what_is_taken_already(self):
        _, addresses = self.start("--listen", "127.0.0.1:0")
        self.refused("Address already in use", "--listen", addresses[0].removeprefix("tcp://"))

    def test_starts_and_ends(self):
        path = os.path.join(self.folder.name, "gpu.sock")
        server, addresses = self.start("--listen", "127.0.0.1:0", "--listen", "shm:" + path)
        self.assertRegex(addresses[0], r"^tcp://127\.0\.0\.1:[1-9]\d*$")
        self.assertEqual(addresses[1:], ["shm:" + path])
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with socket.create_connection(("127.0.0.1", int(addresses[0].rsplit(":", 1)[1])), timeout=10) as client:
            client.sendall(PREAMBLE)
            self.assertEqual(client.recv(8, socket.MSG_WAITALL)[:7], b"TSRG\1\0\0")
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(timeout=30), 0)
        self.assertFalse(os.path.exists(path))

    def test_a_token_lets_it_listen_everywhere(self):
        token = self.write("token", "0123456789abcdef0123456789abcdef\n")
        server, _ = self.start("--listen", "0.0.0.0:0", "--token-file", token)
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(timeout=30), 0)
        self.assertIn("is not encrypted", server.stderr.read())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
