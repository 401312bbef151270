#!/usr/bin/env python3
"""Checks what the command line tools promise of wrong words, and of looking: exit codes, one clear line for bad input, JSON.

usage: commands_test.py TESSERA TESSERAD FAKE_GUEST FAKE_NVML TWO_SOCKETS [unittest arguments]
"""
import json
import os
import shutil

from cli_case import CliTest, main, TOOLS, TWO_SOCKETS


class BadInput(CliTest):
    def test_commands_and_options(self):
        self.refused(2, "unknown command 'frobnicate'", "frobnicate")
        self.refused(2, "subcommand is required", )
        self.refused(2, "--bogus", "--bogus")
        self.refused(2, "--bogus", "ps", "--bogus")
        self.refused(2, "--bogus", "run", "--bogus", "--", "true")
        self.refused(2, "extra", "ps", "extra")
        self.refused(2, "no program is named", "run")
        self.refused(2, "no program is named", "run", "--")
        self.refused(2, "--mem", "run", "--mem")

    def test_sizes(self):
        for size in ("0", "0GiB", "-1", "abc", "1XiB", "1e30T", ""):
            self.refused(2, "--mem: size", "run", "--mem", size, "--", "true")

    def test_names(self):
        self.refused(2, "64 characters; 63 are allowed", "run", "--name", "x" * 64, "--", "true")
        self.refused(2, "letters, digits", "run", "--name", "a b", "--", "true")
        self.refused(2, "letters, digits", "run", "--name", "a\nb", "--", "true")
        self.refused(2, "empty", "run", "--name", "", "--", "true")

    def test_gpus(self):
        self.refused(2, "no GPU 7: this node has 2", "run", "--gpu", "7", "--", "true")
        self.refused(2, "--gpu takes indices", "run", "--gpu", "x", "--", "true")
        self.refused(2, "--gpu takes indices", "run", "--gpu", "-1", "--", "true")
        self.refused(2, "GPU 0 is named twice", "run", "--gpu", "0,0", "--", "true")
        self.refused(2, "--mem is given 2 times and --gpu 1 times", "run", "--gpu", "0", "--mem", "1GiB", "--mem", "2GiB",
                     "--", "true")
        self.refused(2, "--mem: size", "run", "--gpu", "0", "--mem", "1GiB", "--gpu", "1", "--mem", "x", "--", "true")

    def test_set(self):
        self.refused(2, "NAME is required", "set", "--mem", "1GiB")
        self.refused(2, "nothing to change: give --mem, --mem-min, --mem-weight, --copy-min, --copy-max, --sm, --sm-mode, --priority, --weight, --slo, --qos or --gate-copies", "set", "one")
        self.refused(2, "--mem: size", "set", "one", "--mem", "0")
        self.refused(2, "letters, digits", "set", "a b", "--mem", "1GiB")
        self.refused(2, "--gpu", "set", "one", "--mem", "1GiB", "--gpu", "x")
        self.refused(1, "no tesserad listens", "set", "one", "--mem", "1GiB")

    def test_programs(self):
        self.refused(127, "no such program", "run", "--", "no-such-program-here")
        self.refused(126, "not an executable file", "run", "--", "/etc/passwd")
        self.refused(2, "cannot write", "run", "--json-summary", "/no/such/folder/x", "--", "true")

    def test_daemon_options(self):
        for words in (["--idle-exit", "0"], ["--idle-exit"], ["--bogus"], ["extra"], ["--log-level", "loud"]):
            process = self.start("tesserad", *words)
            _, err = process.communicate(timeout=10)
            self.assertEqual((process.returncode, err.count("\n")), (2, 1), err)

    def test_socket_folder(self):
        loose = os.path.join(self.folder, "loose")
        os.mkdir(loose)
        os.chmod(loose, 0o777)
        self.refused(125, "open to other users", "run", "--socket", loose + "/s", "--", "true")
        link = os.path.join(self.folder, "link")
        os.symlink(self.folder, link)
        self.refused(125, "not a folder", "run", "--socket", link + "/s", "--", "true")
        self.refused(2, "107", "run", "--socket", self.folder + "/" + "s" * 120, "--", "true")
        blocked = os.path.join(self.folder, "file")
        open(blocked, "w").close()
        self.refused(125, "not a socket", "run", "--socket", blocked, "--", "true")


class Looking(CliTest):
    def test_without_daemon(self):
        self.assertEqual(self.slices(), [])
        code, out, err = self.tessera("gpus")
        self.assertEqual(code, 0, err)
        self.assertIn("Fake GPU", out)
        self.assertIn("25%", out)
        self.assertFalse(os.path.exists(self.socket))

    def test_help_and_version(self):
        for words in (["--help"], ["--version"], ["version"], *([c, "--help"] for c in ("run", "ps", "set", "gpus", "doctor"))):
            code, out, err = self.tessera(*words)
            self.assertEqual((code, err), (0, ""))
            self.assertTrue(out)

    def test_help_of_a_command(self):
        self.assertEqual(self.tessera("help", "run"), self.tessera("run", "--help"))
        self.assertEqual(self.tessera("help"), self.tessera("--help"))
        self.refused(2, "unknown command 'frobnicate'", "help", "frobnicate")

    def test_doctor(self):
        code, out, _ = self.tessera("doctor", "--json")
        self.assertEqual(code, 0, out)
        checks = {c["name"]: c for c in json.loads(out)["checks"]}
        self.assertEqual(checks["gpus"]["state"], "ok")
        self.env["TESSERA_FAKE_NVML"] = "none"
        code, out, _ = self.tessera("doctor")
        self.assertEqual(code, 1)
        self.assertIn("missing  gpus", out)

    def test_broken_drivers(self):
        for mode, text in (("crash", "no answer"), ("fail", "Driver Not Loaded"), ("none", "no GPU")):
            self.env["TESSERA_FAKE_NVML"] = mode
            self.refused(125, text, "run", "--", "true")
            self.stop_daemon()

    def test_missing_driver(self):
        self.env["TESSERA_DRIVER"] = "/no/such/libcuda.so.1"
        self.refused(125, "no such file", "run", "--", "true")
        self.assertEqual(self.tessera("doctor")[0], 1)


class Topology(CliTest):
    def setUp(self):
        super().setUp()
        # A driver of no known make, so that its GPUs are looked for on the bus.
        for name in ("libcuda.so.1", "libnvidia-ml.so.1"):
            shutil.copy(TOOLS[3], os.path.join(self.folder, name))
        self.env.update(TESSERA_DRIVER=os.path.join(self.folder, "libcuda.so.1"), HWLOC_XMLFILE=TWO_SOCKETS)

    def topo(self):
        code, out, err = self.tessera("topo", "--json")
        self.assertEqual((code, err), (0, ""))
        return json.loads(out)

    def test_gpus_at_their_nodes(self):
        shown = self.topo()
        self.assertEqual([gpu["node"] for gpu in shown["gpus"]], [0, 1])
        self.assertEqual([gpu["pci"] for gpu in shown["gpus"]], ["0000:20:00.0", "0000:30:00.0"])
        self.assertEqual(shown["paths"], [["X", "SYS"], ["SYS", "X"]])
        self.assertEqual(shown["distances"], [[10, 21], [22, 10]])
        self.assertEqual(shown["nodes"][1], {"index": 1, "package": 1, "bytes": 2 << 30, "cpus": "2-3"})

    def test_as_text(self):
        code, out, err = self.tessera("topo")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"(?m)^`- Package 1\n   `- NUMA node 1: 2GiB, processors 2-3\n      `- GPU 1: Fake GPU, 0000:30:00.0$")
        self.assertIn("A processor", out)
        self.assertRegex(out, r"GPU0 +X +SYS +0 +0-1")
        self.assertRegex(out, r"1 +22 +10")
        self.assertIn("Not this machine", out)
        tree, matrix = self.tessera("topo", "--tree")[1], self.tessera("topo", "--matrix")[1]
        self.assertNotIn("DISTANCE", tree)
        self.assertNotIn("NUMA node 1:", matrix)

    def test_software_gpus_are_on_no_bus(self):
        self.env["TESSERA_DRIVER"] = "software"
        shown = self.topo()
        self.assertEqual([gpu["place"] for gpu in shown["gpus"]], ["host_memory"] * 2)
        self.assertEqual(shown["paths"], [["X", "HOST"], ["HOST", "X"]])

    def test_this_machine(self):
        self.env.pop("HWLOC_XMLFILE")
        shown = self.topo()
        self.assertGreater(len(shown["nodes"]), 0)
        self.assertEqual([gpu["place"] for gpu in shown["gpus"]], ["unknown"] * 2)
        said = "nothing is placed" in self.tessera("topo")[1]
        self.assertEqual(said, len(shown["nodes"]) == 1)

    def test_a_machine_that_is_none(self):
        self.env["HWLOC_XMLFILE"] = "/no/such/file"
        self.assertIn(self.tessera("topo")[0], (0, 1))  # hwloc falls back to this machine


if __name__ == "__main__":
    main()
