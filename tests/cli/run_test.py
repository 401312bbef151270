#!/usr/bin/env python3
"""Checks what `tessera run` promises: exit codes, signals, admission, and the daemon that it starts.

usage: run_test.py TESSERA TESSERAD FAKE_GUEST FAKE_NVML TWO_SOCKETS [unittest arguments]
"""
import json
import os
import signal
import subprocess
import time

from cli_case import CliTest, main


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


if __name__ == "__main__":
    main()
