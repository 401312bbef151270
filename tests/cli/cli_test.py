#!/usr/bin/env python3
"""Checks what the command line tools promise: exit codes, one clear line for bad input, signals, slices, JSON.

usage: cli_test.py TESSERA TESSERAD FAKE_GUEST FAKE_NVML TWO_SOCKETS [unittest arguments]
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOOLS = sys.argv[1:5]
TWO_SOCKETS = sys.argv[5]  # a machine, as lstopo wrote it down


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="tessera-cli-")
        cls.bin = os.path.join(cls.root, "bin")
        guest, software = os.path.join(cls.root, "lib"), os.path.join(cls.root, "lib", "softgpu")
        os.makedirs(cls.bin)
        os.makedirs(software)
        shutil.copy(TOOLS[0], os.path.join(cls.bin, "tessera"))
        shutil.copy(TOOLS[1], os.path.join(cls.bin, "tesserad"))
        shutil.copy(TOOLS[2], os.path.join(guest, "libcuda.so.1"))
        shutil.copy(TOOLS[3], os.path.join(software, "libcuda.so.1"))
        shutil.copy(TOOLS[3], os.path.join(software, "libnvidia-ml.so.1"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=self.root)
        self.socket = os.path.join(self.folder, "tesserad.sock")
        self.env = dict(os.environ, TESSERA_SOCKET=self.socket, TESSERA_DRIVER="software")
        for name in list(self.env):
            if name in ("TESSERA_SLICE", "TESSERA_LOG", "LIBCUDA_LOG_LEVEL") or name.startswith("CUDA_DEVICE_"):
                self.env.pop(name)

    def tearDown(self):
        self.stop_daemon()

    def stop_daemon(self):
        """Ends the daemon that `tessera run` started, if any."""
        try:
            with open(self.socket + ".pid") as file:
                pid = int(file.read())
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + 5
        while os.path.exists(self.socket) and time.monotonic() < deadline:
            time.sleep(0.01)

    def start(self, *words, **more):
        return subprocess.Popen([os.path.join(self.bin, words[0]), *words[1:]], env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def tessera(self, *words):
        process = self.start("tessera", *words)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def refused(self, code, text, *words):
        got, out, err = self.tessera(*words)
        self.assertEqual(got, code, err)
        self.assertEqual(out, "")
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn(text, err)

    def device_of_run(self, *words):
        path = os.path.join(self.folder, "summary")
        code, _, err = self.tessera("run", "--json-summary", path, *words, "--", "true")
        self.assertEqual((code, err), (0, ""))
        with open(path) as file:
            return json.load(file)["devices"][0]

    def slices(self):
        code, out, err = self.tessera("ps", "--json")
        self.assertEqual(code, 0, err)
        return json.loads(out)["slices"]

    def wait_for(self, condition):
        deadline = time.monotonic() + 10
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


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
        self.refused(2, "nothing to change: give --mem, --mem-min, --mem-weight, --sm, --sm-mode, --priority, --weight, --slo, --qos or --gate-copies", "set", "one")
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


class Running(CliTest):
    def test_exit_codes(self):
        self.assertEqual(self.tessera("run", "--", "true")[0], 0)
        self.assertEqual(self.tessera("run", "sh", "-c", "exit 42")[0], 42)
        self.assertEqual(self.tessera("run", "--mem", "1GiB", "sh", "-c", "kill -9 $$")[0], 128 + 9)

    def test_options_after_the_program_are_its_own(self):
        self.assertEqual(self.tessera("run", "echo", "--mem", "x", "--", "-y")[1], "--mem x -- -y\n")
        self.assertEqual(self.tessera("run", "--", "echo", "--", "--help")[1], "-- --help\n")

    def test_environment(self):
        _, out, _ = self.tessera("run", "--", "sh", "-c", "echo $TESSERA_SLICE $TESSERA_SOCKET $LD_LIBRARY_PATH")
        token, socket, libraries = out.split()
        self.assertEqual(len(token), 64)
        self.assertEqual(socket, self.socket)
        self.assertEqual(libraries.split(":")[0], os.path.join(self.root, "lib"))

    def test_output_can_be_piped_to_its_end(self):
        # The daemon started on demand must not keep the pipe open.
        done = subprocess.run(f"{self.bin}/tessera run -- echo hello | cat; echo done", shell=True, env=self.env,
                              capture_output=True, text=True, timeout=10)
        self.assertEqual(done.stdout, "hello\ndone\n")

    def test_signals_are_passed_on(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            process = self.start("tessera", "run", "--", "sleep", "30")
            self.wait_for(lambda: any(s["name"].startswith("sleep") for s in self.slices()))
            time.sleep(0.05)
            process.send_signal(number)
            process.communicate(timeout=10)
            self.assertEqual(process.returncode, 128 + number)
        self.wait_for(lambda: self.slices() == [])

    def test_control_c_at_a_terminal(self):
        # The terminal tells the whole process group: the program hears of it once, and decides.
        path = os.path.join(self.folder, "summary")
        script = 'n=0; trap "n=\$((n + 1))" INT; echo ready; until [ $n -gt 0 ]; do sleep 0.02; done; sleep 0.3; exit $((40 + n))'
        child, terminal = os.forkpty()
        if child == 0:
            os.execve(os.path.join(self.bin, "tessera"), ["tessera", "run", "--mem", "1GiB", "--json-summary", path, "--", "sh", "-c",
                                                          script], self.env)
        shown = b""
        while b"ready" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 41)
        os.close(terminal)
        with open(path) as file:
            self.assertEqual(json.load(file)["exit_code"], 41)
        self.assertEqual(self.slices(), [])
        with open(self.socket + ".pid") as file:
            os.kill(int(file.read()), 0)  # the daemon was not meant

    def test_control_c_leaves_all_slices_of_a_file_or_none(self):
        daemon = self.start("tesserad", "--foreground")
        self.wait_for(lambda: os.path.exists(self.socket))
        path = os.path.join(self.folder, "slices.yaml")
        with open(path, "w") as file:
            file.write("slices:\n" + "".join(f"  s{i}: {{mem: 1MiB}}\n" for i in range(40)))
        for attempt in range(20):
            process = self.start("tessera", "slice", "create", "--file", path)
            time.sleep(attempt * 0.0015)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)
            made = [s["name"] for s in self.slices()]
            self.assertIn((process.returncode, len(made)), ((-signal.SIGINT, 0), (-signal.SIGINT, 40), (0, 40)))
            for name in made:
                self.assertEqual(self.tessera("slice", "delete", name)[0], 0)
        daemon.terminate()
        daemon.communicate()

    def test_daemon_cleans_up_where_a_signal_ends_it(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            daemon = self.start("tesserad", "--foreground")
            self.wait_for(lambda: os.path.exists(self.socket))
            self.assertEqual(self.tessera("run", "--", "true")[0], 0)
            daemon.send_signal(number)
            _, err = daemon.communicate(timeout=10)
            self.assertEqual((daemon.returncode, err), (0, ""))
            self.assertEqual([name for name in os.listdir(self.folder) if not name.endswith(".pid")], [])

    def test_killed_run_lets_its_slice_go(self):
        process = self.start("tessera", "run", "--mem", "1GiB", "--", "sleep", "1")
        self.wait_for(lambda: len(self.slices()) == 1)
        process.kill()
        process.communicate()
        self.wait_for(lambda: self.slices() == [])

    def test_admission(self):
        process = self.start("tessera", "run", "--gpu", "0", "--mem", "6GiB", "--name", "big", "--", "sleep", "30")
        self.wait_for(lambda: len(self.slices()) == 1)
        self.refused(125, "GPU 0 has 2GiB not reserved by other slices (of 8GiB); 3GiB were asked for",
                     "run", "--gpu", "0", "--mem", "3GiB", "--", "true")
        self.refused(2, "a slice named 'big' exists already", "run", "--name", "big", "--", "true")
        device = self.slices()[0]["devices"][0]
        self.assertEqual((device["limit_bytes"], device["reserved"], device["used_bytes"]), (6 << 30, True, 0))
        _, out, _ = self.tessera("gpus", "--json")
        self.assertEqual([g["unreserved_bytes"] for g in json.loads(out)["gpus"]], [2 << 30, 4 << 30])
        _, out, _ = self.tessera("ps")
        self.assertIn("6GiB", out.splitlines()[1])
        process.terminate()
        process.communicate()

    def test_a_limit_for_each_gpu(self):
        process = self.start("tessera", "run", "--gpu", "1", "--mem", "1GiB", "--gpu", "0", "--mem", "512MiB", "--", "sleep",
                             "30")
        self.wait_for(lambda: len(self.slices()) == 1)
        self.assertEqual([(d["gpu"], d["limit_bytes"]) for d in self.slices()[0]["devices"]], [(1, 1 << 30), (0, 512 << 20)])
        process.terminate()
        process.communicate()

    def test_set(self):
        process = self.start("tessera", "run", "--gpu", "0,1", "--mem", "1GiB", "--name", "one", "--", "sleep", "30")
        self.wait_for(lambda: len(self.slices()) == 1)
        limits = lambda: [d["limit_bytes"] >> 30 for d in self.slices()[0]["devices"]]
        code, out, err = self.tessera("set", "one", "--mem", "3GiB")
        self.assertEqual((code, out), (0, "one: GPU 0, limit 3GiB, 0B in use\none: GPU 1, limit 3GiB, 0B in use\n"), err)
        self.assertEqual(limits(), [3, 3])
        code, out, err = self.tessera("set", "one", "--mem", "2GiB", "--gpu", "1", "--json")
        self.assertEqual(code, 0, err)
        self.assertEqual([d["limit_bytes"] >> 30 for d in json.loads(out)["devices"]], [3, 2])
        self.assertEqual(limits(), [3, 2])
        self.refused(1, "no slice is named 'two'", "set", "two", "--mem", "1GiB")
        # All or nothing: GPU 0 has room for it, GPU 1 has not.
        self.refused(1, "GPU 1 has 4GiB not reserved by other slices (of 4GiB); 5GiB were asked for", "set", "one", "--mem",
                     "5GiB")
        self.refused(1, "no part of GPU 2", "set", "one", "--mem", "1GiB", "--gpu", "2")
        self.assertEqual(limits(), [3, 2])
        process.terminate()
        process.communicate()

    def test_summary(self):
        path = os.path.join(self.folder, "summary")
        code, _, err = self.tessera("run", "--mem", "1GiB", "--name", "one", "--summary", "--json-summary", path, "--",
                                    "sh", "-c", "exit 3")
        self.assertEqual(code, 3)
        self.assertIn("tessera: one: GPU 0, limit 1GiB, peak 0B, refusals 0", err)
        with open(path) as file:
            summary = json.load(file)
        self.assertEqual((summary["name"], summary["exit_code"], summary["processes_left"]), ("one", 3, 0))
        self.assertEqual(summary["devices"][0]["limit_bytes"], 1 << 30)

    def test_many_at_once_start_one_daemon(self):
        processes = [self.start("tessera", "run", "--", "sleep", "0.2") for _ in range(8)]
        for process in processes:
            _, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0, err)

    def test_a_daemon_that_a_run_has_started_holds_none_of_its_output(self):
        process = self.start("tessera", "run", "--", "true")
        self.assertEqual(process.wait(timeout=30), 0)
        process.communicate(timeout=10)  # to its end: nobody else has it
        self.assertTrue(os.path.exists(self.socket))

    def test_stale_socket_is_replaced(self):
        daemon = self.start("tesserad", "--foreground")
        self.wait_for(lambda: os.path.exists(self.socket))
        daemon.kill()
        daemon.communicate()
        self.assertTrue(os.path.exists(self.socket))
        self.assertEqual(self.tessera("run", "--", "true")[0], 0)

    def test_daemon_ends_when_idle(self):
        daemon = self.start("tesserad", "--foreground", "--idle-exit", "1")
        daemon.communicate(timeout=10)
        self.assertEqual(daemon.returncode, 0)
        self.assertFalse(os.path.exists(self.socket))

    def test_second_daemon_is_refused(self):
        self.assertEqual(self.tessera("run", "--", "true")[0], 0)
        second = self.start("tesserad")
        _, err = second.communicate(timeout=10)
        self.assertEqual(second.returncode, 3)
        self.assertIn("already", err)


class Qos(CliTest):
    def test_qos(self):
        made = self.device_of_run("--slo", "p99=2ms")
        self.assertEqual((made["compute"]["slo_p99_ns"], made["compute"]["qos"], made["qos_class"]), (2_000_000, "auto", "burstable"))
        self.assertEqual((made["waits"], made["wait_p99_ns"], made["boost_permille"]), (0, None, 1000))
        self.assertEqual(self.device_of_run()["qos_class"], "best-effort")
        self.assertEqual(self.device_of_run("--sm", "25", "--qos", "guaranteed")["qos_class"], "guaranteed")
        self.refused(2, "--slo: p99=TIME, as in p99=2ms, or none, not '2ms'", "run", "--slo", "2ms", "--", "true")
        self.refused(2, "--slo: p99: from 1us to 60s", "run", "--slo", "p99=2ns", "--", "true")
        self.refused(2, "--qos: guaranteed, burstable, best-effort or auto, not 'gold'", "run", "--qos", "gold", "--", "true")
        self.refused(2, "the class guaranteed needs a share", "run", "--qos", "guaranteed", "--", "true")
        self.refused(2, "the class best-effort is promised nothing", "run", "--qos", "best-effort", "--slo", "p99=1s", "--", "true")


class HamiVariables(CliTest):
    def limit_of_run(self, *words):
        return self.device_of_run(*words)["limit_bytes"]

    def test_memory_limit(self):
        self.env["CUDA_DEVICE_MEMORY_LIMIT"] = "1g"
        self.assertEqual(self.limit_of_run(), 1 << 30)
        self.assertEqual(self.limit_of_run("--mem", "512MiB"), 512 << 20)
        self.env["CUDA_DEVICE_MEMORY_LIMIT_0"] = "256m"
        self.assertEqual(self.limit_of_run(), 256 << 20)
        self.env["CUDA_DEVICE_MEMORY_LIMIT_0"] = "lots"
        self.refused(2, "CUDA_DEVICE_MEMORY_LIMIT_0: size", "run", "--", "true")
        self.assertEqual(self.limit_of_run("--mem", "512MiB"), 512 << 20)

    def test_compute_limit_is_a_share(self):
        self.env["CUDA_DEVICE_SM_LIMIT"] = "30"
        self.env["GPU_CORE_UTILIZATION_POLICY"] = "force"
        self.assertEqual(self.device_of_run()["compute"],
                         {"share_permille": 300, "capped": True, "priority": "normal", "weight": 100, "slo_p99_ns": 0, "qos": "auto",
                          "mode": "auto", "gate_copies": False})
        self.assertEqual(self.device_of_run("--sm", "12.5")["compute"]["share_permille"], 125)
        self.env["CUDA_DEVICE_SM_LIMIT"] = "300"
        self.refused(2, "CUDA_DEVICE_SM_LIMIT: a number from 0 to 100, not '300'", "run", "--", "true")

    def test_log_level(self):
        self.env["LIBCUDA_LOG_LEVEL"] = "3"
        self.assertEqual(self.tessera("run", "--", "sh", "-c", "echo $TESSERA_LOG")[1], "info\n")
        self.env["TESSERA_LOG"] = "error"
        self.assertEqual(self.tessera("run", "--", "sh", "-c", "echo $TESSERA_LOG")[1], "error\n")


class Profiles(CliTest):
    def setUp(self):
        super().setUp()
        self.env["XDG_CONFIG_HOME"] = self.folder
        os.makedirs(os.path.join(self.folder, "tessera"))
        self.config = os.path.join(self.folder, "tessera", "config.yaml")

    def write(self, text):
        with open(self.config, "w") as file:
            file.write(text)

    def slice_of(self, *words):
        summary = os.path.join(self.folder, "summary")
        code, _, err = self.tessera("run", *words, "--json-summary", summary, "--", "true")
        self.assertEqual(code, 0, err)
        with open(summary) as file:
            return json.load(file)

    def test_sets_what_the_command_line_does_not(self):
        self.write("profiles:\n  small:\n    gpu: 1\n    mem: 64MiB\n    name: experiment\n")
        made = self.slice_of("@small")
        self.assertEqual((made["name"], made["devices"][0]["gpu"], made["devices"][0]["limit_bytes"]), ("experiment", 1, 64 << 20))
        made = self.slice_of("@small", "--mem", "32MiB", "--gpu", "0")
        self.assertEqual((made["name"], made["devices"][0]["gpu"], made["devices"][0]["limit_bytes"]), ("experiment", 0, 32 << 20))

    def test_bad_ones_are_refused_with_file_and_line(self):
        code, _, err = self.tessera("run", "@small", "--", "true")
        self.assertEqual(code, 2)
        self.assertIn(f"no profile 'small' in {self.config}, /etc/tessera/config.yaml; known: ", err)
        self.write("profiles:\n  small:\n    memory: 64MiB\n")
        code, _, err = self.tessera("run", "@small", "--", "true")
        self.assertEqual(code, 2)
        self.assertIn(f"{self.config}:3: unknown option 'memory'; known: gate-copies, gpu, json-summary, mem, mem-min, mem-weight, name, priority, qos, slo, sm, sm-cap, sm-mode, socket, summary, weight", err)

    def test_help_tells_of_them(self):
        self.assertIn("@PROFILE", self.tessera("help", "run")[1])


class Balance(CliTest):
    """Slices on two GPUs of 8 and 4 GiB."""

    def setUp(self):
        super().setUp()
        self.daemon = self.start("tesserad", "--foreground")
        self.wait_for(lambda: os.path.exists(self.socket))

    def tearDown(self):
        self.daemon.terminate()
        self.daemon.communicate()
        super().tearDown()

    def create(self, *words):
        self.assertEqual(self.tessera("slice", "create", *words)[0], 0)

    def balance(self, *words):
        code, out, err = self.tessera("slice", "balance", "--json", *words)
        self.assertEqual((code, err), (0, ""))
        return json.loads(out)

    def gpus(self):
        return {s["name"]: s["devices"][0]["gpu"] for s in self.slices()}

    def test_moves_are_shown_with_reasons_and_made_where_that_is_said(self):
        for name in ("a", "b", "c"):
            self.create(name, "--gpu", "0", "--mem", "1GiB")
        plan = self.balance()
        self.assertFalse(plan["applied"])
        self.assertEqual([(m["from"], m["to"]) for m in plan["moves"]], [(0, 1)])
        self.assertGreater(plan["moves"][0]["gain_seconds"], plan["moves"][0]["cost_seconds"])
        self.assertIn("33.3 % of GPU 0, 100.0 % of GPU 1", plan["moves"][0]["reason"])
        self.assertEqual({s["reason"] for s in plan["stays"]}, {"no other GPU would give it more"})
        self.assertEqual([g["wanted_before"] for g in plan["gpus"]], [3, 0])
        self.assertEqual(set(self.gpus().values()), {0}, "nothing has moved")
        code, out, _ = self.tessera("slice", "balance")
        self.assertEqual(code, 0)
        self.assertIn("33.3 % of GPU 0", out)

        self.assertTrue(self.balance("--apply")["applied"])
        self.assertEqual(sorted(self.gpus().values()), [0, 0, 1])
        self.assertEqual(self.balance("--apply")["moves"], [], "and nothing is left to gain")
        moved = next(name for name, gpu in self.gpus().items() if gpu == 1)
        self.daemon.kill()
        self.daemon.communicate()
        self.daemon = self.start("tesserad", "--foreground")
        self.wait_for(lambda: len(self.slices()) == 3)
        self.assertEqual(self.gpus()[moved], 1, "another daemon knows of it")
        self.refused(1, "GPU 1 has 3GiB not reserved by other slices", "slice", "create", "d", "--gpu", "1", "--mem", "4GiB")

    def test_what_runs_or_does_not_fit_stays(self):
        self.create("a", "--gpu", "0", "--mem", "4GiB")
        self.create("large", "--gpu", "1", "--mem", "4GiB")
        running = self.start("tessera", "run", "--gpu", "0", "--name", "running", "--", "sleep", "60")
        self.wait_for(lambda: len(self.slices()) == 3)
        plan = self.balance("--apply")
        self.assertEqual(plan["moves"], [])
        reasons = {s["name"]: s["reason"] for s in plan["stays"]}
        self.assertEqual(reasons["running"], "it ends with its program")
        self.assertEqual(reasons["a"], "no other GPU would give it more")
        running.terminate()
        running.communicate()

    def test_without_a_daemon_there_is_nothing_to_balance(self):
        self.env["TESSERA_SOCKET"] = os.path.join(self.folder, "nobody")
        self.refused(1, "slice balance", "slice", "balance")


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
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
