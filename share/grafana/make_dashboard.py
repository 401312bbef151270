#!/usr/bin/env python3
"""Writes tessera.json, the dashboard that Grafana imports, from the list below: make_dashboard.py > tessera.json"""
import json

# title, unit, [(expression, legend)]
ROWS = [
    ("GPUs", [
        ("Use of GPUs", "percentunit", [("tessera_gpu_utilization_ratio{instance=~\"$instance\"}", "{{instance}} GPU {{gpu}}")]),
        ("Memory of GPUs", "percentunit", [("tessera_gpu_memory_used_bytes{instance=~\"$instance\"} / tessera_gpu_memory_bytes", "{{instance}} GPU {{gpu}}")]),
        ("GPUs that are out", "short", [("count(tessera_gpu_up{instance=~\"$instance\"} == 0) or vector(0)", "lost or quarantined")]),
    ]),
    ("Cards", [
        ("Temperature of GPUs", "celsius", [("tessera_gpu_temperature_celsius{instance=~\"$instance\"}", "{{instance}} GPU {{gpu}}")]),
        ("Power of GPUs", "watt", [("tessera_gpu_power_watts{instance=~\"$instance\"}", "{{instance}} GPU {{gpu}}")]),
    ]),
    ("Tenants", [
        ("GPU time", "percentunit", [("rate(tessera_slice_gpu_seconds_total{instance=~\"$instance\",slice=~\"$slice\"}[1m])", "{{slice}} on GPU {{gpu}}")]),
        ("Share had of share entitled", "percentunit", [("tessera_slice_share_achieved_ratio{instance=~\"$instance\",slice=~\"$slice\"} / tessera_slice_share_entitled_ratio", "{{slice}} on GPU {{gpu}}")]),
        ("Memory of its limit", "percentunit", [("tessera_slice_memory_used_bytes{instance=~\"$instance\",slice=~\"$slice\"} / tessera_slice_memory_limit_bytes", "{{slice}} on GPU {{gpu}}")]),
        ("Memory", "bytes", [("tessera_slice_memory_used_bytes{instance=~\"$instance\",slice=~\"$slice\"}", "{{slice}} on GPU {{gpu}}")]),
    ]),
    ("Waits", [
        ("Waits for turns, 99th percentile", "s", [("tessera_slice_wait_p99_seconds{instance=~\"$instance\",slice=~\"$slice\"}", "{{slice}} on GPU {{gpu}}")]),
        ("Time waited for turns", "percentunit", [("rate(tessera_slice_turn_wait_seconds_total{instance=~\"$instance\",slice=~\"$slice\"}[1m])", "{{slice}} on GPU {{gpu}}")]),
    ]),
    ("Work", [
        ("Run time of kernels, 99th percentile", "s", [("histogram_quantile(0.99, sum by (slice, gpu, le) (rate(tessera_slice_kernel_run_seconds_bucket{instance=~\"$instance\",slice=~\"$slice\"}[1m])))", "{{slice}} on GPU {{gpu}}")]),
        ("Launches", "ops", [("rate(tessera_slice_launches_total{instance=~\"$instance\",slice=~\"$slice\"}[1m])", "{{slice}} on GPU {{gpu}}")]),
        ("Copied", "Bps", [("rate(tessera_slice_copied_to_device_bytes_total{instance=~\"$instance\",slice=~\"$slice\"}[1m])", "{{slice}} to GPU {{gpu}}"),
                           ("rate(tessera_slice_copied_from_device_bytes_total{instance=~\"$instance\",slice=~\"$slice\"}[1m])", "{{slice}} from GPU {{gpu}}")]),
    ]),
    ("Trouble", [
        ("Allocations refused", "short", [("increase(tessera_slice_refusals_total{instance=~\"$instance\",slice=~\"$slice\"}[5m])", "{{slice}} on GPU {{gpu}}")]),
        ("Errors and faults", "short", [("increase(tessera_slice_errors_total{instance=~\"$instance\",slice=~\"$slice\"}[5m])", "errors of {{slice}}"),
                                        ("increase(tessera_slice_faults_total{instance=~\"$instance\",slice=~\"$slice\"}[5m])", "faults of {{slice}}")]),
    ]),
]
SOURCE = {"type": "prometheus", "uid": "${source}"}
COLUMNS = 24


def panels():
    number, y = 1, 0
    for title, charts in ROWS:
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}
        number, y = number + 1, y + 1
        width = COLUMNS // len(charts)
        for index, (name, unit, targets) in enumerate(charts):
            yield {"id": number, "type": "timeseries", "title": name, "datasource": SOURCE, "gridPos": {"x": index * width, "y": y, "w": width, "h": 8},
                   "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                   "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression, "legendFormat": legend} for i, (expression, legend) in enumerate(targets)]}
            number += 1
        y += 8


def variable(name, query):
    return {"name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}}


print(json.dumps({
    "title": "Tessera", "uid": "tessera", "tags": ["gpu"], "schemaVersion": 38, "version": 1, "editable": True, "refresh": "10s",
    "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
    "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                            variable("instance", "label_values(tessera_build_info, instance)"),
                            variable("slice", "label_values(tessera_slice_processes{instance=~\"$instance\"}, slice)")]},
    "panels": list(panels())}, indent=1))
