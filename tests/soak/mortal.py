"""What the checks share in which processes die at failpoints (src/common/failpoint.h)."""
import os
import re
import subprocess
import sys


def failpoints(sources, chosen):
    """Those that the sources name and that are `chosen`, in order."""
    names = set()
    for folder, _, files in os.walk(sources):
        for name in files:
            if name.endswith(".cc"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    names.update(re.findall(r'failpoint\("([\w.]+)"\)', file.read()))
    return sorted(filter(chosen, names))


def start_daemon(bin_dir, point, *options):
    """One that dies at `point`, unless that is empty."""
    return subprocess.Popen([os.path.join(bin_dir, "tesserad"), "--foreground", *options], env=dict(os.environ, TESSERA_FAILPOINT=point),
                            stderr=subprocess.DEVNULL)


def report(points, deaths, runs, failed):
    """Says how it went, and ends. `deaths`: at each failpoint; one at which nobody has died in any run is a failure."""
    failed = failed + [f"{point}: nobody died there" for point in points if deaths[point] == 0]
    print(f"{len(points)} failpoints, {runs} runs, {sum(deaths.values())} kills at them; {len(failed)} failures")
    for line in failed:
        print("FAIL", line)
    sys.exit(1 if failed or not points else 0)
