#!/usr/bin/env python3
"""Checks what slices may be asked for by the command line, by variables and by profiles, and how they are moved.

usage: slices_test.py TESSERA TESSERAD FAKE_GUEST FAKE_NVML TWO_SOCKETS [unittest arguments]
"""
import json
import os

from cli_case import CliTest, main


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
        self.assertIn(f"{self.config}:3: unknown option 'memory'; known: copy-max, copy-min, gate-copies, gpu, json-summary, mem, mem-min, mem-weight, name, priority, qos, slo, sm, sm-cap, sm-mode, socket, summary, weight", err)

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


if __name__ == "__main__":
    main()
