#!/usr/bin/env python3
"""The programs that are scripts, over builds that are made up: what they print, how they end, and what a wrong command line gets.

usage: scripts_test.py BIN_DIR [unittest arguments]
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

BIN = sys.argv[1]

CHECKS = r"""
add_test(good "/bin/true")
add_test(bad "/bin/sh" "-c" "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i + 1)); done; exit 3")
add_test(skipped "/bin/sh" "-c" "exit 77")
add_test(crashes "/bin/sh" "-c" "kill -SEGV $$")
add_test(hangs "/bin/sleep" "600")
add_test(gone "/no/such/program")
add_test(lonely "/bin/sh" "-c" "case $XDG_RUNTIME_DIR in /tmp/tessera-run.*) ;; *) exit 1 ;; esac")
add_test(another "/bin/false")
set_tests_properties(good bad skipped crashes hangs gone lonely PROPERTIES LABELS e2e)
set_tests_properties(skipped PROPERTIES SKIP_RETURN_CODE 77)
set_tests_properties(hangs PROPERTIES TIMEOUT 1)
"""
# As a program of Google Benchmark, that writes where it is told to.
BENCHMARK = r"""#!/bin/sh
for word; do case $word in --benchmark_out=*) out=${word#*=} ;; esac; done
cat >"$out" <<'END'
{"benchmarks": [{"run_name": "interpreted_alu", "aggregate_name": "mean", "ns/item": 99},
                {"run_name": "interpreted_alu", "aggregate_name": "median", "ns/item": 6},
                {"run_name": "interpreted_other", "aggregate_name": "median", "ns/item": 6},
                {"run_name": "native_alu", "aggregate_name": "median", "ns/item": 2}]}
END
"""


def call(program, *words, **environment):
    return subprocess.run([os.path.join(BIN, program), *words], capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, **environment))


class ScriptTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tessera-scripts-")
        self.addCleanup(folder.cleanup)
        self.build = folder.name

    def write(self, name, text):
        path = os.path.join(self.build, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def refused(self, text, program, *words):
        done = call(program, *words, BUILD_DIR=self.build)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith(program + ": ") and text in done.stderr, done.stderr)

    def helped(self, program, text):
        done = call(program, "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(text, done.stdout)


class IntegrationTest(ScriptTest):
    def test_a_line_for_each_check_and_an_exit_code(self):
        self.write("CTestTestfile.cmake", CHECKS)
        done = call("integration_test", BUILD_DIR=self.build)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        lines = [re.sub(r" \([0-9.]+ s\)", "", line) for line in done.stdout.splitlines()]
        verdicts = sorted(line for line in lines if not line.startswith(" "))
        self.assertEqual(verdicts[1:-1], ["FAIL bad", "FAIL crashes: exception: segfault", "FAIL gone: not run", "FAIL hangs: timeout",
                                          "ok   good", "ok   lonely", "skip skipped"])
        self.assertEqual(verdicts[0], "7 checks: 2 ok, 1 skipped, 4 failed")
        self.assertTrue(os.path.exists(verdicts[-1].removeprefix("what they wrote: ")), verdicts[-1])
        written = lines[lines.index("FAIL bad") + 1:][:21]
        self.assertEqual(written[:20], [f"     | line {i}" for i in range(10, 30)])
        self.assertFalse(written[20].startswith(" "), written)
        one = call("integration_test", "^goo", BUILD_DIR=self.build)
        self.assertEqual(one.returncode, 0)
        self.assertRegex(one.stdout, r"^ok   good \([0-9.]+ s\)\n1 checks: 1 ok, 0 skipped, 0 failed\n$")
        self.assertEqual(call("integration_test", "--list", BUILD_DIR=self.build).stdout.split()[:2], ["good", "bad"])

    def test_a_line_comes_when_its_check_ends(self):
        go = os.path.join(self.build, "go")
        self.write("CTestTestfile.cmake", f"""
            add_test(first "/bin/true")
            add_test(second "/bin/sh" "-c" "until [ -e {go} ]; do sleep 0.05; done")
            set_tests_properties(first second PROPERTIES LABELS e2e)""")
        with subprocess.Popen([os.path.join(BIN, "integration_test")], stdout=subprocess.PIPE, text=True,
                              env=dict(os.environ, BUILD_DIR=self.build, JOBS="1")) as running:
            self.assertRegex(running.stdout.readline(), "^ok   first ")
            self.write("go", "")
            self.assertRegex(running.stdout.read(), r"^ok   second .*\n2 checks: 2 ok")
        self.assertEqual(running.returncode, 0)

    def test_wrong_command_lines(self):
        self.refused("no build in", "integration_test")
        self.write("CTestTestfile.cmake", CHECKS)
        self.refused("--list names them", "integration_test", "another")
        self.refused("unknown option '--frobnicate'", "integration_test", "--frobnicate")
        self.refused("unexpected argument 'two'", "integration_test", "one", "two")
        self.helped("integration_test", "integration_test [REGEX]")


class PerformanceTest(ScriptTest):
    def test_all_run_and_one_that_fails_is_told_of(self):
        self.write("bench/bench_counters", "#!/bin/sh\nexit 3\n")
        self.write("bench/bench_interpreter", BENCHMARK)
        self.write("bench/notes", "")
        os.chmod(os.path.join(self.build, "bench/notes"), 0o644)
        done = call("performance_test", BUILD_DIR=self.build)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^interpreted_alu +3\.00 times native_alu$")
        self.assertNotIn("interpreted_other", done.stdout)
        self.assertRegex(done.stdout, r"== summary\nbench_counters +FAILED +\d+ s\nbench_interpreter +ok +\d+ s\n$")
        self.assertEqual(call("performance_test", "bench_interpreter", BUILD_DIR=self.build).returncode, 0)
        self.assertEqual(call("performance_test", "--list", BUILD_DIR=self.build).stdout, "bench_counters\nbench_interpreter\n")

    def test_wrong_command_lines(self):
        self.refused("no benchmarks in", "performance_test")
        self.write("bench/bench_counters", "#!/bin/sh\n")
        self.refused("--list names them", "performance_test", "bench_nothing")
        self.refused("unknown option '--frobnicate'", "performance_test", "--frobnicate")
        self.helped("performance_test", "performance_test [NAME ...]")


class PerformanceMonitor(ScriptTest):
    def test_it_is_top(self):
        self.helped("performance_monitor", "Usage: performance_monitor [OPTIONS]")
        wrong = call("performance_monitor", "--frobnicate")
        self.assertEqual((wrong.returncode, wrong.stdout, wrong.stderr.count("\n")), (2, "", 1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
