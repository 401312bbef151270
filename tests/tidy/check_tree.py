#!/usr/bin/env python3
"""Checks the source tree itself: floors, file and line lengths, words that have no place in finished code.

Exit code 1 and one line per finding; nothing where all is well. Rules:
  floors       a room under src/ includes only rooms that lie below it (FLOORS)
  long files   a source file has at most MAX_LINES lines
  long lines   a source line has at most MAX_COLUMNS columns
  left-overs   no marker of unfinished work in sources or documents
  clocks       policies read no clock, and the daemon reads one in its event loop alone (CLOCKLESS)
  orphans      every source file is named or globbed by a CMakeLists.txt, or included by another file
"""
import pathlib
import re
import subprocess
import sys

MAX_LINES = 500
MAX_COLUMNS = 120
MAX_COLUMNS_WITH_PTX = 180  # in tests and benchmarks, which hold kernels as text, one instruction group a line
# room: the rooms it may include besides itself
FLOORS = {
    "common": [],
    "cuda": ["common"],
    "softgpu": ["cuda", "common"],
    "memory": ["cuda", "common"],
    "monitoring": ["common"],
    "scheduling": ["common"],
    "partitioning": ["scheduling", "memory", "common"],
    "virtualization": ["memory", "cuda", "common"],
    "cache": ["common"],
    "remote": ["cache", "virtualization", "memory", "cuda", "common"],
    "guest": ["remote", "cache", "virtualization", "memory", "cuda", "common"],
    "node": ["remote", "cache", "monitoring", "partitioning", "scheduling", "virtualization", "memory", "cuda", "common"],
    "cli": ["node", "monitoring", "remote", "cache", "partitioning", "scheduling", "virtualization", "memory", "cuda", "common"],
}
# rooms within softgpu, lowest first: each may include itself and those before it
SOFTGPU_FLOORS = ["memory", "ptx", "exec", "device", "driver", "nvml"]
# rooms that are told the time, and their files that read a clock all the same: where it enters, what runs in a
# process of its own, and programs that measure themselves
CLOCKLESS = {"scheduling": ["program/"], "partitioning": ["program/"], "node": ["event_loop.h", "inventory.cc"]}
CLOCK = re.compile(r"\b(monotonic_ns|wall_ns|clock_gettime|steady_clock|system_clock)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
LEFTOVER = re.compile(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
SOURCES = {".c", ".cc", ".h", ".cu"}


def tracked():
    try:
        out = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):  # an exported tree, without git
        out = [str(p) for top in ("src", "tests", "bench", "demos", "docs", "scripts", "cmake")
               for p in pathlib.Path(top).rglob("*") if p.is_file()]
    return [pathlib.Path(line) for line in out if line and pathlib.Path(line).is_file()]


def room_of(path):
    parts = path.parts
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def check_include(path, number, target):
    room, below = room_of(path), target.split("/")
    if room is None or len(below) < 2 or below[0] not in FLOORS:
        return
    if below[0] != room and below[0] not in FLOORS.get(room, []):
        yield f"{path}:{number}: floors: {room}/ may not include {target}"
    if room == "softgpu" and below[0] == "softgpu" and len(below) > 2 and path.parts[2] in SOFTGPU_FLOORS:
        if SOFTGPU_FLOORS.index(below[1]) > SOFTGPU_FLOORS.index(path.parts[2]):
            yield f"{path}:{number}: floors: softgpu/{path.parts[2]}/ may not include {target}"


def check_clock(path, number, line):
    inside = "/".join(path.parts[2:])
    reads = room_of(path) in CLOCKLESS and not path.stem.endswith("_test") and CLOCK.search(line)
    if reads and not inside.startswith(tuple(CLOCKLESS[room_of(path)])):
        yield f"{path}:{number}: clocks: {line.strip()}"


def check_source(path, text):
    lines = text.split("\n")
    if len(lines) > MAX_LINES + 1:
        yield f"{path}: long file: {len(lines) - 1} lines, at most {MAX_LINES}"
    for number, line in enumerate(lines, 1):
        limit = MAX_COLUMNS_WITH_PTX if path.stem.endswith("_test") or path.parts[0] == "bench" else MAX_COLUMNS
        if len(line) > limit:
            yield f"{path}:{number}: long line: {len(line)} columns, at most {limit}"
        yield from check_clock(path, number, line)
        include = INCLUDE.match(line)
        if include:
            yield from check_include(path, number, include[1])


def orphans(files, texts):
    globbed = {p.parent for p, t in texts.items() if p.name == "CMakeLists.txt" and "GLOB" in t}
    lists = {p.parent: t for p, t in texts.items() if p.name == "CMakeLists.txt"}
    listed = "\n".join(t for p, t in texts.items() if p.name in ("CMakeLists.txt",) or p.suffix in (".cmake", ".inc"))
    included = {m[1] for p, t in texts.items() if p.suffix in SOURCES
                for m in (INCLUDE.match(line) for line in t.split("\n")) if m}
    for path in files:
        if path.suffix not in SOURCES or "testdata" in path.parts or path.parent in globbed:
            continue
        by_include = any(str(path).endswith(name) for name in included)
        # "foreach(name ptx fatbin)" builds fuzz_${name}.cc: the part that varies stands as a word in the list.
        varying = path.stem.removeprefix("fuzz_").removesuffix("_test")
        by_name = path.name in listed or path.stem in listed or re.search(rf"\b{varying}\b", lists.get(path.parent, ""))
        if not by_include and not by_name:
            yield f"{path}: orphan: no CMakeLists.txt builds it and nothing includes it"


def main():
    files = tracked()
    texts = {}
    for path in files:
        try:
            texts[path] = path.read_text()
        except UnicodeDecodeError:
            continue
    findings = list(orphans(files, texts))
    for path, text in texts.items():
        if path.suffix in SOURCES:
            findings += check_source(path, text)
        if path.suffix in SOURCES | {".md", ".py", ".sh", ".txt", ".cmake"}:
            findings += [f"{path}:{n}: left-over: {line.strip()[:80]}"
                         for n, line in enumerate(text.split("\n"), 1) if LEFTOVER.search(line)]
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)


main()
