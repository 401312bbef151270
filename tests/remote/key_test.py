#!/usr/bin/env python3
"""A session's process has nothing of the server's key, which the server's own has: key_test.py PLAIN_SERVER LIBCUDA LIBRARIES ENDLESS."""
import base64
import os
import subprocess
import sys
import unittest

from programs import Server
from session_processes import children

CURVE_BYTES, LINE = 32, 64


def private_key(path):
    """What of the key is secret, in each form in which a process may have had it."""
    with open(path) as file:
        text = "".join(line.strip() for line in file if not line.startswith("-----"))
    encoded = base64.b64decode(text)
    at = encoded.index(bytes([4, CURVE_BYTES])) + 2  # an octet string
    scalar = encoded[at:at + CURVE_BYTES]
    # Of the text what tells of the scalar alone, as far as it is in one line.
    begin, end = (at + 2) // 3 * 4, (at + CURVE_BYTES) // 3 * 4
    lines = [text[max(line, begin):min(line + LINE, end)] for line in range(0, len(text), LINE)]
    return {"scalar": scalar, "scalar, the other way round": scalar[::-1], "text of the file": max(lines, key=len).encode()}


def memory_of(pid):
    """All that it can write, a mapping at a time."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            if "w" not in access:
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            memory.seek(begin)
            try:
                yield memory.read(min(end - begin, 1 << 28))
            except OSError:  # of a device
                continue


def found_in(pid, secrets):
    return {name for piece in memory_of(pid) for name, secret in secrets.items() if secret in piece}


class Key(unittest.TestCase):
    def test_a_session_has_nothing_of_the_servers_key(self):
        program, driver, libraries, endless = sys.argv[1:5]
        with Server(program, driver, "tls") as server:
            secrets = private_key(server.environment["TESSERA_SERVER_CA"].replace("server.pem", "server.key"))
            self.assertTrue(found_in(server.process.pid, secrets), "the server's own memory has no key: nothing is looked for")
            before = set(children(server.process.pid))
            client = subprocess.Popen([endless], stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, **server.environment, "LD_LIBRARY_PATH": libraries})
            try:
                self.assertEqual(client.stdout.readline().strip(), "running")
                for session in set(children(server.process.pid)) | before:
                    self.assertEqual(found_in(session, secrets), set())
            finally:
                client.kill()
                client.wait()
                client.stdout.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
