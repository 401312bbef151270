#!/usr/bin/env python3
"""Checks, for every program and command that --help tells of: that its options are in the manual and in what bash, fish and
zsh complete, that it prints JSON where it prints figures, and that a wrong command line gets one line with the way out.

usage: documented_test.py BIN_DIR SOURCE_DIR [unittest arguments]
"""
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BIN, SOURCES = sys.argv[1:3]
COMPLETIONS = os.path.join(SOURCES, "share", "completions")
MANUALS = {"tessera": "tessera.1", "tesserad": "tesserad.8", "gpu_scheduler": "gpu_scheduler.1", "hybrid_slicing": "hybrid_slicing.1",
           "remote_gpu_protocol": "remote_gpu_protocol.1"}
WITHOUT_FIGURES = {"tessera run", "tessera metrics", "tessera trace record", "tessera version", "tesserad"}  # run: --json-summary


def call(*words, **more):
    # A socket that nobody listens on: what gets as far as asking fails, and starts nothing.
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, TESSERA_SOCKET=os.path.join(folder, "socket"))
        return subprocess.run([os.path.join(BIN, words[0]), *words[1:]], capture_output=True, text=True, timeout=30, env=environment, **more)


@functools.cache
def help_of(words):
    return call(*words, "--help").stdout


def section(text, name):
    found = re.search(rf"^{name}:\n((?:  .*\n|\s*\n)+)", text, re.MULTILINE)
    return found.group(1) if found else ""


@functools.cache
def commands():
    """All of them, as tuples of words: those that have commands of their own, too."""
    found, left = [], [(program,) for program in MANUALS]
    while left:
        words = left.pop()
        found.append(words)
        left += [(*words, name) for name in re.findall(r"^  ([a-z]+) ", section(help_of(words), "Subcommands"), re.MULTILINE)]
    return found


def options_of(words):
    """The option's name, and whether it takes a value."""
    found = {}
    for line in help_of(words).splitlines():
        names = re.match(r"  ((?:-h,|--[a-z-]+(?:, )?)+)(?: ([^ ]+))?", line)
        for name in re.findall(r"--[a-z-]+", names.group(1)) if names else []:
            found[name] = names.group(2) not in (None, "", "Excludes:")
    return found


def roff(text):
    return text.replace("\\-", "-").replace("\\fR", "").replace("\\fP", "")


class Documented(unittest.TestCase):
    def test_the_commands_are_found(self):
        names = [" ".join(words) for words in commands()]
        for name in ("tessera run", "tessera slice create", "gpu_scheduler cluster", "tesserad", "hybrid_slicing"):
            self.assertIn(name, names)
        self.assertEqual(options_of(("tessera", "gpus")), {"--help": False, "--socket": True, "--json": False, "--forgive": True})
        self.assertTrue(options_of(("tesserad",))["--round-the-gate"])

    def test_help_and_version(self):
        for words in commands():
            for option in ("--help", "-h") if words != ("tesserad",) else ("--help",):
                done = call(*words, option)
                self.assertEqual((done.returncode, done.stderr), (0, ""), words)
                self.assertIn("sage: ", done.stdout)
        for program in MANUALS:
            self.assertRegex(call(program, "--version").stdout, rf"^{program} [0-9.]+\n$")

    def test_manual(self):
        for words in commands():
            with open(os.path.join(SOURCES, "docs", "man", MANUALS[words[0]])) as file:
                manual = roff(file.read())
            if len(words) > 1:
                self.assertIn(" ".join(words), manual)
            for option in options_of(words):
                self.assertRegex(manual, rf"{option}\b(?!-)", words)

    def test_json(self):
        for words in commands():
            has_commands = section(help_of(words), "Subcommands") != ""
            if not has_commands and " ".join(words) not in WITHOUT_FIGURES:
                self.assertIn("--json", options_of(words), words)
        for words in (("tessera", "ps"), ("gpu_scheduler", "check", "--seeds", "3"), ("hybrid_slicing", "--arrivals", "100"),
                      ("gpu_scheduler", "cluster", "--gpus", "2", "--jobs", "10"),
                      ("gpu_scheduler", "run", os.path.join(SOURCES, "share", "workloads", "mixed.yaml"), "--seconds", "1")):
            done = call(*words, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            json.loads(done.stdout)


class WrongCommandLines(unittest.TestCase):
    def refused(self, text, *words):
        done = call(*words)
        self.assertEqual((done.returncode, done.stdout), (2, ""), (words, done.stderr))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith(words[0]), done.stderr)
        self.assertIn(text, done.stderr)

    def test_unknown_options_and_missing_values(self):
        for words in commands():
            self.refused("unknown option '--no-such-option'", *words, "--no-such-option")
            self.refused(f"see '{' '.join(words)} --help'", *words, "--no-such-option")
            for option in [name for name, value in options_of(words).items() if value]:
                self.refused(option, *words, option)

    def test_unknown_words(self):
        for words in commands():
            if section(help_of(words), "Subcommands") != "":
                self.refused("unknown command 'frobnicate'", *words, "frobnicate")
        for words in (("tessera", "ps"), ("tessera", "gpus"), ("tessera", "doctor"), ("tessera", "version"), ("tesserad",),
                      ("tessera", "slice", "list"), ("tessera", "set", "one"), ("tessera", "serve"), ("tessera", "slice", "delete", "one"),
                      ("gpu_scheduler", "check"), ("hybrid_slicing",)):
            self.refused("unexpected argument 'extra'", *words, "extra")

    def test_missing_words(self):
        for words in (("tessera", "set"), ("tessera", "slice", "delete"), ("tessera", "slice", "resize")):
            self.refused("NAME is required", *words)
        self.refused("a slice needs a NAME", "tessera", "slice", "create")
        self.refused("WORKLOAD is required", "gpu_scheduler", "run")
        self.refused("no program is named", "tessera", "run")
        self.refused("--output is required", "tessera", "trace", "record")
        self.refused("no program is named", "tessera", "trace", "record", "--output", "log")
        self.refused("FILE is required", "tessera", "trace", "replay")
        for words in (("tessera",), ("tessera", "slice"), ("tessera", "trace"), ("gpu_scheduler",)):
            self.refused("subcommand is required", *words)

    def test_values_out_of_range(self):
        compute = (("--sm", "0"), ("--sm", "101"), ("--sm", "x"), ("--weight", "0"), ("--weight", "10001"), ("--weight", "x"),
                   ("--priority", "first"), ("--sm-mode", "both"), ("--slo", "p99=0ms"), ("--qos", "gold"), ("--mem", "1XiB"))
        for words in (("tessera", "run"), ("tessera", "set", "one"), ("tessera", "slice", "plan"), ("tessera", "slice", "create", "one"),
                      ("tessera", "slice", "resize", "one")):
            for option, value in compute:
                self.refused(option, *words, option, value, *(("--", "true") if words[1] == "run" else ()))
        for words in (("tessera", "gpus", "--forgive", "x"), ("tessera", "slice", "create", "one", "--packing", "loose"),
                      ("tessera", "serve", "--max-sessions", "0"), ("tessera", "serve", "--listen", "nowhere"), ("tessera", "serve", "--upload", "fast"),
                      ("tesserad", "--idle-exit", "-1"), ("tesserad", "--order", "x"), ("tesserad", "--time-slice", "x"),
                      ("tesserad", "--packing", "x"), ("tesserad", "--co-execution", "x"),
                      ("tesserad", "--overcommit", "0.5"), ("tesserad", "--overcommit", "x"),
                      ("tesserad", "--overcommit-by", "x"), ("tesserad", "--working-set-window", "7"),
                      ("tesserad", "--round-the-gate", "x"), ("tesserad", "--log-level", "x"),
                      ("hybrid_slicing", "--gpus", "0"), ("hybrid_slicing", "--sms", "1000000"), ("hybrid_slicing", "--mem", "x"),
                      ("hybrid_slicing", "--arrivals", "0"), ("hybrid_slicing", "--load", "0"), ("hybrid_slicing", "--seed", "x"),
                      ("gpu_scheduler", "check", "--seeds", "0"), ("gpu_scheduler", "check", "--decisions", "0"),
                      ("gpu_scheduler", "cluster", "--gpus", "0"), ("gpu_scheduler", "cluster", "--load", "9")):
            self.refused(words[-2], *words)
        self.refused("excludes", "tessera", "set", "one", "--sm-cap", "--no-sm-cap")
        self.refused("cannot read", "gpu_scheduler", "run", "/no/such/file")
        self.refused("weighted-fair", "gpu_scheduler", "run", os.path.join(SOURCES, "share", "workloads", "mixed.yaml"), "--order", "x")
        self.refused("spread", "gpu_scheduler", "cluster", "--policy", "x")


class Completion(unittest.TestCase):
    def bash(self, *words):
        script = f"""source '{COMPLETIONS}/{words[0]}.bash'
            COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; _{words[0]}
            printf '%s\\n' "${{COMPREPLY[@]}}" """
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, cwd=BIN, timeout=10)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_bash_knows_every_option_and_no_other(self):
        for words in commands():
            self.assertEqual(sorted(self.bash(*words, "--")), sorted(options_of(words)), words)

    def test_bash(self):
        self.assertEqual(self.bash("tessera", "d"), ["doctor"])
        self.assertEqual(self.bash("tessera", "run", "--mem-w"), ["--mem-weight"])
        self.assertEqual(self.bash("tessera", "run", "--mem", ""), [])
        self.assertEqual(self.bash("tessera", "ps", "--j"), ["--json"])
        self.assertEqual(self.bash("tessera", "help", "g"), ["gpus"])
        self.assertEqual(self.bash("tessera", "set", "--priority", "re"), ["realtime"])
        self.assertEqual(self.bash("tesserad", "--order", "f"), ["feedback"])
        self.assertEqual(self.bash("gpu_scheduler", "c"), ["check", "cluster"])
        # What follows the program is the program's: files, and not our options.
        self.assertEqual(self.bash("tessera", "run", "--mem", "1GiB", "--", "true", "--me"), [])
        self.assertEqual(self.bash("tessera", "run", "true", "tesserad"), ["tesserad"])

    def test_fish_knows_every_option_and_no_other(self):
        if shutil.which("fish") is None:
            self.skipTest("no fish here")
        for words in commands():
            source = os.path.join(COMPLETIONS, words[0] + ".fish")
            done = subprocess.run(["fish", "--no-config", "-c", f"source {source}; complete -C '{' '.join(words)} --'"],
                                  capture_output=True, text=True, timeout=30, env=dict(os.environ, PATH=BIN + ":" + os.environ["PATH"]))
            found = re.findall(r"^--[a-z-]+", done.stdout, re.MULTILINE)
            self.assertEqual(sorted(found), sorted(options_of(words)), words)

    def test_zsh_knows_every_option(self):
        for words in commands():
            with open(os.path.join(COMPLETIONS, "_" + words[0])) as file:
                text = file.read()
            for option in options_of(words):
                self.assertRegex(text, rf"'{option}\[", words)

    def test_zsh_accepts_its_scripts(self):
        if shutil.which("zsh") is None:
            self.skipTest("no zsh here")
        for program in MANUALS:
            done = subprocess.run(["zsh", "-n", os.path.join(COMPLETIONS, "_" + program)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), program)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
