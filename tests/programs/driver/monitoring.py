#!/usr/bin/env python3
"""The history keeps what happened, through kills and damage; alerts fire, are sent signed, and are resolved.

usage: monitoring.py BIN_DIR PROGRAM    (PROGRAM: driver_multiprocessors, which launches one kernel for each line that it is asked)
"""
import hashlib
import hmac
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request

import asked
import described
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
SECRET = "a-secret-of-the-webhook"
RULES = """
rules:
  - name: full
    metric: slice_memory_peak_bytes
    of: slice_memory_limit_bytes
    slice: tr*
    above: 0.000001
    severity: critical
    summary: give it more
"""


class Hook(http.server.BaseHTTPRequestHandler):
    heard = []
    failures_left = 1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Hook.failures_left -= 1
        if Hook.failures_left < 0:
            Hook.heard.append((self.headers.get("X-Tessera-Signature"), body))
        self.send_response(500 if Hook.failures_left >= 0 else 200)
        self.end_headers()

    def log_message(self, *words):
        pass


def ask(what):
    port = asked.http_port(TESSERA)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{what}", timeout=20) as answer:
        return json.load(answer)


def series(metric, **labels):
    found = [one for one in ask(f"history?metric={metric}&since=1h&points=2000")["series"]
             if all(one["labels"].get(label) == value for label, value in labels.items())]
    return found[0]["points"] if found else []


def history_child(daemon):
    out = subprocess.run(["ps", "--ppid", str(daemon.pid), "-o", "pid=,args="], capture_output=True, text=True).stdout
    found = [int(line.split()[0]) for line in out.splitlines() if "--keep-history" in line]
    return found[0] if found else None


def events(kind):
    return [event for event in ask("events")["events"] if event["kind"] == kind]


def check_alerts():
    asked.wait_until(lambda: any(alert["state"] == "firing" for alert in ask("alerts")["alerts"]), 30, lambda: f"{ask('alerts')}")
    alert = ask("alerts")["alerts"][0]
    require(alert["rule"] == "full" and alert["labels"] == {"slice": "train", "gpu": "0"} and alert["severity"] == "critical", f"{alert}")
    require(events("alert_fired"), "an event of it")
    # The first try fails.
    asked.wait_until(lambda: Hook.heard, 30, lambda: "nothing was sent")
    signature, body = Hook.heard[0]
    require(signature == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(), f"{signature}")
    require(json.loads(body)["state"] == "firing", f"{body}")


def check_history():
    asked.wait_until(lambda: len(series("slice_memory_limit_bytes", slice="train", gpu="0")) >= 3, 30, lambda: f"{ask('history?metric=slice_memory_limit_bytes')}")
    limit = asked.devices(TESSERA)["train"]["limit_bytes"]
    points = series("slice_memory_limit_bytes", slice="train", gpu="0")
    require(points[-1][1:4] == [limit] * 3, f"{points[-1]} and {limit}")
    require(all(a[0] < b[0] for a, b in zip(points, points[1:])), f"{points}")


def check_log(path):
    """Alerts are in the log, of which each line is an object."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    fired = [line for line in lines if line["module"] == "alert" and line["text"].startswith("fires: full: ")]
    require(fired and fired[0]["level"] == "warn" and fired[0]["program"] == "tesserad" and "'train'" in fired[0]["text"], f"{lines}")


def check_described():
    """Where there are alerts, events and a history; http_answers.py asks a node that has none of them."""
    description = ask("openapi.json")
    for what in ("alerts", "events", "slices", "gpus", "info", "history?metric=slice_memory_limit_bytes,gpu_memory_used_bytes"):
        answer = ask(what)
        described.check(answer, "/api/v1/" + what.partition("?")[0], description)
        require(any(answer.get(many) for many in ("alerts", "events", "slices", "gpus", "series")), f"{what}: {answer}")


def check_kills(daemon):
    """Its process may be killed, and the daemon; what was committed stays."""
    before = series("slice_memory_limit_bytes", slice="train", gpu="0")
    os.kill(history_child(daemon), signal.SIGKILL)
    asked.wait_until(lambda: history_child(daemon), 30, lambda: "another one")
    asked.wait_until(lambda: len(series("slice_memory_limit_bytes", slice="train", gpu="0")) > len(before), 30, lambda: "it goes on")
    daemon.kill()
    daemon.wait()
    return before


def damage(path):
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096)


def wait_for_child_to_end(path):
    """The keeper of a daemon that is gone ends with its input."""
    asked.wait_until(lambda: subprocess.run(["pgrep", "-f", f"--keep-history --history {path}"], capture_output=True).returncode != 0, 20, lambda: "it ends")


def main():
    with asked.own_node(SOFTGPU_SMS="2") as folder, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as hook:
        threading.Thread(target=hook.serve_forever, daemon=True).start()
        path, rules, secret = (os.path.join(folder, name) for name in ("history", "rules.yaml", "secret"))
        with open(rules, "w", encoding="utf-8") as file:
            file.write(RULES)
        with open(secret, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(SECRET + "\n")
        options = ["--http", "127.0.0.1:0", "--history", path, "--alerts", rules, "--alert-webhook", f"http://127.0.0.1:{hook.server_port}/", "--alert-secret", secret]
        log = os.path.join(folder, "log")
        os.environ["TESSERA_LOG_FORMAT"] = "json"
        with open(log, "w", encoding="utf-8") as file, asked.running_daemon(BIN, *options, log=file) as daemon:
            program = asked.Program(TESSERA, "run", "--name", "train", "--mem", "64MiB", "--", PROGRAM, "ask")
            program.ask("")
            check_alerts()
            check_log(log)
            check_history()
            check_described()
            before = check_kills(daemon)
        wait_for_child_to_end(path)
        with asked.running_daemon(BIN, *options):
            after = series("slice_memory_limit_bytes", slice="train", gpu="0")
            require(after[:len(before)] == before, f"{before} is not the beginning of {after}")
            program.finish()
            asked.wait_until(lambda: all(alert["state"] == "resolved" for alert in ask("alerts")["alerts"]), 30, lambda: f"{ask('alerts')}")
        wait_for_child_to_end(path)
        damage(path)
        with asked.running_daemon(BIN, *options):
            asked.wait_until(lambda: events("history"), 30, lambda: f"{ask('events')}")
            require("is damaged" in events("history")[0]["text"] and os.path.exists(path + ".damaged"), f"{events('history')}")
            asked.wait_until(lambda: series("gpu_memory_used_bytes", gpu="0"), 30, lambda: "a new one")
        wrong = subprocess.run([os.path.join(BIN, "tesserad"), "--alerts", "/dev/null"], capture_output=True, text=True)
        require(wrong.returncode == 2 and "/dev/null: the file has one key, rules" in wrong.stderr, f"{wrong}")
    print("PASS")


if __name__ == "__main__":
    main()
