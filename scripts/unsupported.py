#!/usr/bin/env python3
"""Writes the list of driver functions that the software GPU does not have into docs/softgpu.md.

usage: unsupported.py [--check] LIBCUDA [DOCUMENT]

A function without a definition of its own is a weak symbol of the library (src/cuda/generate_api.py, `defaults`); the
families are the headings of src/cuda/driver_api.tbl. --check changes nothing and fails where the document is out of date.
After a build: scripts/unsupported.py lib/softgpu/libcuda.so.1
"""
import pathlib
import re
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN = "<!-- by scripts/unsupported.py: begin -->"
END = "<!-- by scripts/unsupported.py: end -->"


def families():
    """(heading, [symbols]) in the order of the table."""
    found = []
    for line in (ROOT / "src/cuda/driver_api.tbl").read_text().split("\n"):
        if line.startswith("## "):
            found.append((line[3:], []))
        elif match := re.match(r"^(\w+)\s+\d+\s", line):
            found[-1][1].append(match[1])
    return found


def weak_symbols(library):
    output = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return {fields[2] for fields in map(str.split, output.split("\n")) if len(fields) == 3 and fields[1] in "WV"}


def section(library):
    weak = weak_symbols(library)
    lines = [BEGIN, ""]
    for heading, symbols in families():
        missing = [symbol for symbol in symbols if symbol in weak]
        if not missing:
            continue
        text = f"- {heading}: all {len(symbols)} functions"
        if len(missing) < len(symbols):
            text = f"- {heading}, {len(missing)} of {len(symbols)}: " + ", ".join(f"`{name}`" for name in missing)
        lines += textwrap.wrap(text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join([*lines, "", END])


def main():
    arguments = [word for word in sys.argv[1:] if word != "--check"]
    if not 1 <= len(arguments) <= 2:
        sys.exit(__doc__)
    document = pathlib.Path(arguments[1]) if len(arguments) == 2 else ROOT / "docs/softgpu.md"
    text = document.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit(f"{document} has not the one pair of marks {BEGIN} and {END}")
    before, after = text[:text.index(BEGIN)], text[text.index(END) + len(END):]
    new = before + section(arguments[0]) + after
    if new == text:
        return
    if "--check" in sys.argv:
        sys.exit(f"{document} is out of date: run scripts/unsupported.py {arguments[0]}")
    document.write_text(new)


main()
