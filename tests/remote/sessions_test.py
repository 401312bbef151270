#!/usr/bin/env python3
"""Sessions that go wrong in every way, by a seed: networks that drop, delay, split, merge, corrupt and reset, clients, sessions and
servers that are killed. No result is wrong, nothing hangs, and nothing is left on the server.

usage: sessions_test.py TESSERA RELAY LIB_DIR PROGRAM_DIR SESSIONS [SEED]

Exit code 1 and a line for each session that did not end as it has to.
"""
import collections
import concurrent.futures
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from session_processes import session_processes  # noqa: E402

TESSERA, RELAY, LIB, PROGRAMS = sys.argv[1:5]
SESSIONS, SEED = int(sys.argv[5]), int(sys.argv[6]) if len(sys.argv) > 6 else 1
AT_ONCE = 4
BATCH = 20  # sessions, after which the server must have what it had before
KEEP, GRACE = 30, 20  # seconds: what --keep and TESSERA_SERVER_GRACE say
PATIENCE = 150  # seconds that no session takes on a busy machine: a connection that is silent is noticed after 15, and given up after GRACE
PROGRAMS_USED = ["driver_vector_add", "driver_reduction", "driver_scan", "driver_histogram", "driver_transpose", "driver_stencil",
                 "driver_streams_events", "driver_async_copy", "driver_black_scholes"]
# Each network is one of these, or several; numbers are microseconds and mean bytes.
FAULTS = {"split": ("split=1",), "merge": ("merge=%d", 200, 2000), "delay": ("delay=%d", 100, 3000), "jitter": ("jitter=%d", 100, 2000),
          "corrupt": ("corrupt-every=%d", 100_000, 3_000_000), "reset": ("reset-every=%d", 100_000, 3_000_000),
          "drop": ("drop-every=%d", 100_000, 3_000_000), "stall": ("stall-every=%d", 100_000, 2_000_000)}
LOST = re.compile(r"the session with the GPU server \S* ?is lost|no GPU at ")


class Plan:
    """What happens to a session. All of it follows from its seed."""

    def __init__(self, seed):
        choice = random.Random(seed)
        self.seed = seed
        self.program = choice.choice(PROGRAMS_USED)
        self.network = []
        for name in choice.sample(sorted(FAULTS), choice.randint(1, 3)):
            setting = FAULTS[name]
            self.network.append(setting[0] % choice.randint(*setting[1:]) if len(setting) > 1 else setting[0])
        if any(word.startswith("stall") for word in self.network):
            self.network.append("stall=%d" % choice.randint(1000, 50_000))
        self.kill = choice.choices(["nothing", "client", "session"], [8, 1, 1])[0]
        self.kill_after = choice.uniform(0, 1)

    def __str__(self):
        return "seed %d: %s, %s, %s is killed" % (self.seed, self.program, " ".join(self.network), self.kill)


class Server:
    """A daemon over the software GPU, and a server of its slices that can be killed and started again."""

    def __init__(self, folder):
        self.environment = dict(os.environ, TESSERA_DRIVER="software", SOFTGPU_STATE_DIR=folder + "/softgpu", SOFTGPU_DEVICES="1",
                                SOFTGPU_SMS="2", SOFTGPU_MEMORY="1GiB", SOFTGPU_LOG="error", TESSERA_SOCKET=folder + "/tesserad",
                                TESSERA_LOG="error")
        for name in ("TESSERA_SLICE", "TESSERA_SERVER", "LD_LIBRARY_PATH"):
            self.environment.pop(name, None)
        self.daemon = subprocess.Popen([os.path.dirname(TESSERA) + "/tesserad", "--foreground"], env=self.environment,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.process, self.port = None, 0
        self.start()

    def start(self):
        self.process = subprocess.Popen([TESSERA, "serve", "--json", "--listen", "127.0.0.1:%d" % self.port, "--keep", str(KEEP)],
                                        env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(json.loads(self.process.stdout.readline())["addresses"][0].rsplit(":", 1)[1])
        # What it tells of sessions is read, or it would wait for that.
        threading.Thread(target=collections.deque, args=(self.process.stdout, 0), daemon=True).start()

    def kill_and_start_again(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def sessions(self):
        while True:
            process = self.process
            try:
                return session_processes(TESSERA, process.pid, self.environment, PATIENCE)
            except (FileNotFoundError, AssertionError):
                if process is self.process and process.poll() is None:
                    raise
                time.sleep(0.05)  # killed, and about to be started again

    def state(self):
        """What must be the same before and after: descriptors, processes, slices, memory of the GPU."""
        slices = json.loads(self.ask("ps", "--json"))["slices"]
        gpus = json.loads(self.ask("gpus", "--json"))["gpus"]
        count = [len(os.listdir("/proc/%d/fd" % process.pid)) for process in (self.process, self.daemon)]
        return {"descriptors": count, "sessions": len(self.sessions()), "slices": len(slices),
                "used": [gpu.get("memory_used_bytes", gpu.get("used_bytes")) for gpu in gpus]}

    def ask(self, *words):
        return subprocess.run([TESSERA, *words], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout

    def settles(self, state, seconds):
        end = time.monotonic() + seconds
        while self.state() != state:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.daemon.terminate()
        self.daemon.wait(PATIENCE)


def run(server, plan, duration):
    """What is wrong about how the session ended; None where nothing is."""
    relay = subprocess.Popen([RELAY, "--to", "127.0.0.1:%d" % server.port, "--seed", str(plan.seed), *plan.network],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    environment = dict(server.environment, TESSERA_SERVER="127.0.0.1:%d" % int(relay.stdout.readline()), TESSERA_SERVER_CHECKSUMS="on",
                       TESSERA_SERVER_GRACE=str(GRACE), LD_LIBRARY_PATH=LIB)
    before = set(server.sessions()) if plan.kill == "session" else set()
    program = subprocess.Popen([os.path.join(PROGRAMS, plan.program)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    try:
        if plan.kill != "nothing":
            time.sleep(plan.kill_after * duration)
            if plan.kill == "client":
                program.kill()
            else:
                for pid in sorted(set(server.sessions()) - before)[:1]:  # mine, or one that began with it
                    os.kill(pid, signal.SIGKILL)
        output, _ = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        return "it hangs"
    except ProcessLookupError:
        output, _ = program.communicate(timeout=PATIENCE)
    finally:
        relay.stdin.close()
        relay.wait()
        relay.stdout.close()
    if program.returncode == 0 and "PASS" in output:
        return None
    if program.returncode == -signal.SIGKILL and plan.kill == "client":
        return None
    # A session that was killed is told of; so is one that the server's end has taken along.
    told = LOST.search(output)
    return None if told else "exit code %d: %s" % (program.returncode, output[-400:])


def main():
    wrong, counts = [], collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        quiet = Plan(0)
        quiet.network, quiet.kill = [], "nothing"
        begin = time.monotonic()
        for quiet.program in PROGRAMS_USED:
            said = run(server, quiet, 0)
            if said:
                sys.exit("%s without faults: %s" % (quiet.program, said))
        duration = (time.monotonic() - begin) / len(PROGRAMS_USED)
        end = time.monotonic() + KEEP
        alike, state = 0, None  # what the last sessions had is given back one after the other
        while alike < 10 or state["sessions"] or state["slices"]:
            state, before = server.state(), state
            alike = alike + 1 if state == before else 0
            if time.monotonic() > end:
                sys.exit("a session without faults stays: %s" % state)
            time.sleep(0.1)
        choice = random.Random(SEED)
        for first in range(0, SESSIONS, BATCH):
            plans = [Plan(SEED * 1_000_003 + i) for i in range(first, min(first + BATCH, SESSIONS))]
            server_dies = choice.random() < 0.1
            killer = threading.Timer(choice.uniform(0.5, 3) * duration, server.kill_and_start_again) if server_dies else None
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                if killer:
                    killer.start()
                results = list(pool.map(lambda plan: run(server, plan, duration), plans))
            if killer:
                killer.join()
            for plan, said in zip(plans, results):
                counts[plan.kill] += 1
                if said:
                    wrong.append("%s%s\n  %s" % (plan, ", the server too" if server_dies else "", said))
            counts["server"] += server_dies
            if not server.settles(state, KEEP + 15):
                wrong.append("sessions %d to %d: the server had %s, and has %s" % (first, first + BATCH - 1, state, server.state()))
                state = server.state()
        server.end()
    print("\n".join(wrong + ["%d sessions, seed %d: %d clients, %d sessions and %d servers were killed; %d went wrong" %
                             (SESSIONS, SEED, counts["client"], counts["session"], counts["server"], len(wrong))]))
    return 1 if wrong else 0


sys.exit(main())
