#!/usr/bin/env python3
"""A Prometheus of its own scrapes tesserad, and what it has stored is what the programs did; the dashboard asks for nothing else.

usage: scraped.py BIN_DIR PROGRAM DASHBOARD    (PROGRAM: driver_multiprocessors, DASHBOARD: what Grafana imports)
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request

import asked
from asked import require

BIN, PROGRAM, DASHBOARD = sys.argv[1:4]
TESSERA = os.path.join(BIN, "tessera")
TOKEN = "0123456789abcdef-a-token"
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: tessera
  authorization: {{credentials: {token}}}
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Prometheus:
    def __init__(self, folder, scraped):
        self.port = free_port()
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(token=TOKEN, port=scraped))
        self.process = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
                                         f"--web.listen-address=127.0.0.1:{self.port}"], stderr=subprocess.DEVNULL)

    def query(self, expression):
        """By labels; nothing while it starts."""
        address = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                result = json.load(answer)
        except OSError:
            return {}
        require(result["status"] == "success", f"{expression}: {result}")
        return {tuple(sorted((k, v) for k, v in one["metric"].items() if k in ("slice", "gpu", "podname"))): float(one["value"][1]) for one in result["data"]["result"]}

    def wait(self, expression, wanted):
        asked.wait_until(lambda: self.query(expression) == wanted, 40, lambda: f"{expression}: {self.query(expression)}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def check_dashboard(prometheus):
    """Every expression of the dashboard is one that Prometheus takes, of figures that there are."""
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    made = subprocess.run([sys.executable, os.path.join(os.path.dirname(DASHBOARD), "make_dashboard.py")], capture_output=True, text=True)
    require(json.loads(made.stdout) == dashboard, f"{DASHBOARD} is not what make_dashboard.py writes")
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    require(len(expressions) > 10, f"{expressions}")
    port = asked.http_port(TESSERA)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": "Bearer " + TOKEN})
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read().decode()
    for expression in expressions:
        prometheus.query(expression.replace("$instance", ".*").replace("$slice", ".*"))
        for name in re.findall(r"tessera_[a-z0-9_]+", expression):
            # Nobody has waited here, so there is no quantile of waits.
            name = name.removesuffix("_bucket")
            require(f"# TYPE {name} " in text or name == "tessera_slice_wait_p99_seconds", f"{name} of the dashboard is no figure")


def main():
    if shutil.which("prometheus") is None:
        print("prometheus is not installed")
        sys.exit(77)
    with asked.own_node(SOFTGPU_SMS="2") as folder:
        path = os.path.join(folder, "token")
        with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(TOKEN)
        with asked.running_daemon(BIN, "--http", "127.0.0.1:0", "--http-token", path, "--http-compat", "dcgm,hami"):
            prometheus = Prometheus(folder, asked.http_port(TESSERA))
            try:
                program = asked.Program(TESSERA, "run", "--name", "train", "--mem", "64MiB", "--", PROGRAM, "ask")
                for _ in range(5):
                    program.ask("")
                prometheus.wait('up{job="tessera"}', {(): 1})
                prometheus.wait("tessera_slice_launches_total", {(("gpu", "0"), ("slice", "train")): 5})
                prometheus.wait("tessera_slice_memory_limit_bytes", {(("gpu", "0"), ("slice", "train")): 64 << 20})
                prometheus.wait("vGPU_device_memory_limit_in_bytes", {(("podname", "train"),): 64 << 20})
                prometheus.wait("DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE", {(("gpu", "0"),): asked.shown(TESSERA, "gpus")["gpus"][0]["total_bytes"] / (1 << 20)})
                # What the driver says of the card; the software GPU's is a model of one.
                prometheus.wait("DCGM_FI_DEV_GPU_TEMP > bool 0", {(("gpu", "0"),): 1})
                for name in ("SM_CLOCK", "MEM_CLOCK", "POWER_USAGE", "TOTAL_ENERGY_CONSUMPTION"):
                    prometheus.wait(f"DCGM_FI_DEV_{name} > bool 0", {(("gpu", "0"),): 1})
                prometheus.wait('tessera_slice_kernel_run_seconds_count', {(("gpu", "0"), ("slice", "train")): 5})
                check_dashboard(prometheus)
                program.finish()
            finally:
                prometheus.stop()
        wrong = subprocess.run([os.path.join(BIN, "tesserad"), "--http-compat", "dcgm,other"], capture_output=True, text=True)
        require(wrong.returncode == 2 and "dcgm, hami or both" in wrong.stderr, f"{wrong}")
    print("PASS")


if __name__ == "__main__":
    main()
