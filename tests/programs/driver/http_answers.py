#!/usr/bin/env python3
"""What tesserad answers over HTTP agrees with what programs count themselves and with what the tools print, and is described.

usage: http_answers.py BIN_DIR PROGRAM    (PROGRAM: driver_multiprocessors, which launches one kernel for each line that it is asked)
"""
import difflib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys

import asked
import described
from asked import require

BIN, PROGRAM = sys.argv[1:3]
TESSERA = os.path.join(BIN, "tessera")
TOKEN = "0123456789abcdef-a-token"


class Api:
    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def ask(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body.decode()

    def get(self, path):
        status, body = self.ask(path)
        require(status == 200, f"{path}: {status} {body}")
        return body

    def json(self, what):
        return json.loads(self.get("/api/v1/" + what))

    def refused(self, status, path, **more):
        got, body = self.ask(path, **more)
        require(got == status, f"{path}: {got} {body}")
        return json.loads(body)["error"]["message"]


def check_described(api):
    """The answers are what the description says, which tells of nothing else. It has a history only where one is kept: monitoring.py."""
    description = api.json("openapi.json")
    for path, what in description["paths"].items():
        if "application/json" in what["get"]["responses"]["200"]["content"] and path != "/api/v1/history":
            described.check(json.loads(api.get(path)), path, description)


def without_times(text):
    return re.sub(r"^(?:tessera_slice_age_seconds|tessera_gpu_(?:utilization|temperature|power|energy|sm_clock|memory_clock|memory_utilization)_\w+|tessera_slice_share_(?:achieved|lent)_ratio)\{.*\n", "", text, flags=re.MULTILINE)


def check_figures(api):
    launches = {"first": 7, "second": 3}
    programs = {name: asked.Program(TESSERA, "run", "--name", name, "--mem", "64MiB", "--", PROGRAM, "ask") for name in launches}
    for name, count in launches.items():
        for _ in range(count):
            programs[name].ask("")

    def counted():
        return {entry["name"]: entry["devices"][0]["launches"] for entry in api.json("slices")["slices"]}
    # An answer is made anew after a fifth of a second.
    asked.wait_until(lambda: counted() == launches, 20, lambda: f"{counted()}")
    check_described(api)

    def differences():
        here, there = api.get("/metrics"), subprocess.run([TESSERA, "metrics"], capture_output=True, text=True).stdout
        return list(difflib.unified_diff(without_times(here).splitlines(), without_times(there).splitlines(), lineterm="", n=0))
    asked.wait_until(lambda: not differences(), 20, lambda: "\n".join(["`tessera metrics` prints something else:", *differences()]))
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=api.get("/metrics"), capture_output=True, text=True)
        require(done.returncode == 0, f"promtool: {done.stdout}{done.stderr}")
    require(api.json("gpus")["gpus"][0]["total_bytes"] > 0, "a GPU")
    for program in programs.values():
        program.finish()
    asked.wait_until(lambda: not counted(), 20, lambda: f"{counted()}")
    check_events(api, launches)


def check_events(api, names):
    events = api.json("events")
    for name in names:
        kinds = [event["kind"] for event in events["events"] if event["subject"] == name]
        require(kinds == ["slice_opened", "process_attached", "process_ended", "slice_ended"], f"{name}: {kinds}")
    numbers = [event["number"] for event in events["events"]]
    require(numbers == sorted(set(numbers)) and numbers[-1] == events["latest"], f"{numbers}")
    after = api.json(f"events?after={numbers[2]}")["events"]
    require([event["number"] for event in after] == numbers[3:], f"{after}")
    require(len(api.json("events?limit=2")["events"]) == 2, "the latest two")
    require("whole numbers" in api.refused(400, "/api/v1/events?after=x"), "what is wrong")


def check_refusals(api):
    require("openapi.json" in api.refused(404, "/api/v1/nothing"), "what there is")
    api.refused(404, "/etc/passwd")
    api.refused(404, "/../../etc/passwd")
    api.refused(405, "/api/v1/gpus", method="POST")
    api.refused(403, "/api/v1/gpus", Host="example.com")


def check_token(folder):
    path = os.path.join(folder, "token")
    with open(path, "w", encoding="utf-8") as file:
        file.write(TOKEN + "\n")
    tesserad = os.path.join(BIN, "tesserad")
    open_to_all = subprocess.run([tesserad, "--foreground", "--http", "0.0.0.0:0"], capture_output=True, text=True, timeout=60)
    require(open_to_all.returncode == 1 and "--http-token" in open_to_all.stderr, f"{open_to_all}")
    os.chmod(path, 0o644)
    readable = subprocess.run([tesserad, "--http", "0.0.0.0:0", "--http-token", path], capture_output=True, text=True, timeout=60)
    require(readable.returncode == 2 and "chmod 600" in readable.stderr, f"{readable}")
    os.chmod(path, 0o600)
    with asked.running_daemon(BIN, "--http", "0.0.0.0:0", "--http-token", path):
        port = asked.http_port(TESSERA)
        Api(port).refused(401, "/metrics")
        Api(port, TOKEN + "x").refused(401, "/api/v1/gpus")
        Api(port, TOKEN).json("gpus")


def main():
    with asked.own_node(SOFTGPU_SMS="2") as folder:
        with asked.running_daemon(BIN, "--http", "127.0.0.1:0"):
            api = Api(asked.http_port(TESSERA))
            check_figures(api)
            check_refusals(api)
        check_token(folder)
        with asked.running_daemon(BIN):
            require(asked.http_port(TESSERA) is None, "who does not ask for it has none")
    print("PASS")


if __name__ == "__main__":
    main()
