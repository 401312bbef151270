#!/usr/bin/env python3
"""Runs what README.md, its translation, CONTRIBUTING.md and docs/ tell readers to type. What it does not know fails.

usage: readme_test.py SOURCE_DIR BIN_DIR LIB_DIR [unittest arguments]
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "driver"))
import asked  # noqa: E402

SOURCES, BIN, LIB = (os.path.abspath(folder) for folder in sys.argv[1:4])
APP = os.path.join(BIN, "tessera-demo-tenant") + " --seconds 1 --work matmul --memory 16MiB"
# Too long for here: who runs it.
ELSEWHERE = {
    "bin/integration_test": ("tests/cli/scripts_test.py", 'call("integration_test"'),
    "bin/integration_test REGEX": ("tests/cli/scripts_test.py", 'call("integration_test", "'),
    "bin/performance_monitor": ("tests/cli/scripts_test.py", '"performance_monitor"'),
    "bin/performance_test NAME": ("tests/cli/scripts_test.py", 'call("performance_test", "'),
    "bin/gpu_scheduler cluster --gpus 10000 --jobs 1000000": ("src/scheduling/CMakeLists.txt", "cluster --gpus 10000 --jobs 1000000"),
    "echo 'ecc double' >> /dev/shm/softgpu-$(id -u)/gpu0.control": ("tests/programs/driver/faults.cc", '"ecc double"'),
    "ctest --test-dir build/main -R failpoints": ("tests/soak/CMakeLists.txt", "add_test(NAME failpoints"),
    "ctest --test-dir build/main -R page_browser": ("tests/web/CMakeLists.txt", "page_test(page_browser "),
    "bin/tesserad --http 127.0.0.1:9400": ("tests/web/node.mjs", "'--http', `127.0.0.1:"),
    "cmake -DTESSERA_FAILPOINTS=ON build/main": ("CMakeLists.txt", "TESSERA_FAILPOINTS"),
    "cmake --preset fuzz && cmake --build --preset fuzz": ("CMakePresets.json", '"name": "fuzz"'),
    "build/fuzz/fuzz/fuzz_ptx tests/fuzz/corpus/ptx": ("tests/fuzz/CMakeLists.txt", "fuzz_target(fuzz_ptx"),
}


def commands_of(path):
    with open(os.path.join(SOURCES, path)) as file:
        text = file.read()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    found = [re.sub(r"\s\s+#.*", "", line).strip() for line in lines]
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", text)]
    found += [span for span in spans if re.match(r"(bin/|build/|scripts/|make |cmake |ctest |tessera |slice create|run --slice)", span)]
    return [command for command in dict.fromkeys(found) if re.match(r"[\w./]+=?\S* |bin/\w|scripts/\w", command)]


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.environment = dict(os.environ, TESSERA_DRIVER="software", TESSERA_SOCKET=os.path.join(cls.folder.name, "socket"),
                               SOFTGPU_STATE_DIR=os.path.join(cls.folder.name, "softgpu"), SOFTGPU_MEMORY="8GiB")
        for name in ("TESSERA_SLICE", "LD_LIBRARY_PATH"):
            cls.environment.pop(name, None)
        cls.daemon = asked.start_daemon(BIN, environment=cls.environment)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        cls.daemon.wait()
        cls.folder.cleanup()

    def call(self, command):
        done = subprocess.run(command, shell=True, cwd=SOURCES, env=self.environment, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def place(self, command):
        """The command with this build's folders, a program and a slice in the places of the reader's."""
        command = re.sub(r"\./my_cuda_app( --its --arguments)?", APP, command)
        command = command.replace("$PWD/lib/", LIB + "/").replace("NAME", "readme")
        command = re.sub(r"\bFILE\b", os.path.join(self.folder.name, "file"), command)
        return re.sub(r"^bin/", BIN + "/", command)

    def run_command(self, command):
        words = command.split()
        if command in ELSEWHERE:
            path, needle = ELSEWHERE[command]
            with open(os.path.join(SOURCES, path)) as file:
                self.assertIn(needle, file.read(), command)
        elif words[0] == "make":
            self.call("make -n " + " ".join(words[1:]))
        elif words[0].startswith("bin/") or words[0].startswith("LD_LIBRARY_PATH="):
            self.call(self.place(command))
        elif words[0] in ("slice", "run"):
            tail = {"slice": "other --mem 64MiB", "run": f"-- {APP}"}[words[0]]
            self.call(f"{BIN}/tessera " + self.place(command.replace("NAME …", "").strip()) + " " + tail)
        elif words[0] == "tessera":
            named = [word for word in words[1:] if re.fullmatch(r"[a-z]+", word)]
            self.assertIn("Usage: tessera " + " ".join(named[:1]), self.call(f"{BIN}/tessera {' '.join(named[:1])} --help"))
        elif words[0] == "scripts/unsupported.py":
            self.call(f"python3 scripts/unsupported.py --check {LIB}/softgpu/libcuda.so.1")
        elif words[0].startswith("scripts/"):
            self.assertTrue(os.access(os.path.join(SOURCES, words[0]), os.X_OK), words[0])
            self.call("bash -n " + words[0])
        elif command == "cmake -S . -B build/main -DTESSERA_CUDART_HANDSHAKE=OFF":
            build = os.path.join(self.folder.name, "build")
            self.call(command.replace("build/main", f"{build} -G Ninja -DTESSERA_OUT={build}"))
            with open(os.path.join(build, "build.ninja")) as file:
                self.assertNotIn("cudart_handshake.cc", file.read())
        else:
            self.fail(f"nothing runs this: {command}")

    def test_what_readers_are_told_to_type(self):
        self.call(f"{BIN}/tessera slice create readme --mem 1GiB")
        documents = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"]
        documents += [os.path.relpath(path, SOURCES) for path in sorted(glob.glob(os.path.join(SOURCES, "docs", "*.md")))]
        commands = dict.fromkeys(command for path in documents for command in commands_of(path))
        self.assertGreater(len(commands), 20, commands)
        for command in commands:
            with self.subTest(command):
                self.run_command(command)

    def test_both_languages_tell_the_same(self):
        chosen = [[c for c in commands_of(path) if not c.startswith("tessera ")] for path in ("README.md", "README.zh-CN.md")]
        self.assertEqual(sorted(chosen[0]), sorted(chosen[1]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
