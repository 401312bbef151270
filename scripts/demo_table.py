#!/usr/bin/env python3
"""Prints the demo's closing table from what `tessera run --json-summary` and the tenants themselves wrote.

usage: demo_table.py FOLDER        FOLDER holds NAME.summary (of tessera run) and NAME.out (of the tenant), both JSON
"""
import json
import pathlib
import sys

MIB = 1 << 20
COLUMNS = ("tenant", "limit MiB", "peak MiB", "refused", "with", "share %", "had %", "GPU s", "rounds", "wrong", "elapsed s")


def row(folder, name):
    summary = json.loads((folder / f"{name}.summary").read_text())
    tenant = json.loads((folder / f"{name}.out").read_text())
    device = summary["devices"][0]
    return (name, device["limit_bytes"] // MIB, device["peak_bytes"] // MIB, device["refusals"],
            tenant["refused_with"] or "-", device["compute"]["share_permille"] / 10, None, device["gpu_seconds"],
            tenant["rounds"], tenant["wrong_rounds"], f"{tenant['elapsed_ms'] / 1000:.1f}"), device, tenant


def with_parts(rows):
    """Fills in what part of the GPU time of all tenants each had."""
    had, seconds = COLUMNS.index("had %"), COLUMNS.index("GPU s")
    total = sum(cells[seconds] for cells, _, _ in rows)
    for cells, _, _ in rows:
        part = f"{100 * cells[seconds] / total:.1f}" if total > 0 else "-"
        yield (*cells[:had], part, f"{cells[seconds]:.2f}", *cells[seconds + 1:])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    names = sorted(p.stem for p in folder.glob("*.summary"))
    rows = [row(folder, name) for name in names]
    lines = [COLUMNS] + [tuple(map(str, cells)) for cells in with_parts(rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    for line in lines:
        print("  ".join(cell.ljust(w) if i in (0, 4) else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(line, widths))).rstrip())
    print("\nGPU s is the time that the driver measured with the tenant's kernels on the GPU; had % its part of both tenants'."
          "\nWhat one leaves idle the other may use.")
    wrong = sum(tenant["wrong_rounds"] for _, _, tenant in rows)
    over = [name for name, (_, device, _) in zip(names, rows) if device["peak_bytes"] > device["limit_bytes"]]
    if wrong or over:
        sys.exit(f"wrong results: {wrong}; tenants over their limit: {', '.join(over) or 'none'}")


main()
