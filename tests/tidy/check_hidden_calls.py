#!/usr/bin/env python3
"""Every call of the driver's API that takes a device, or says where memory is, is among those that refuse hidden devices
(src/virtualization/vgpu/hidden_calls.cc).

usage: check_hidden_calls.py SOURCE_DIR
"""
import os
import re
import sys

PLACES = r"\b(CUmemLocation|CUmemAccessDesc|CUmemPoolProps|CUmemAllocationProp)\b"
TELLS_OF_A_HANDLE = {"cuMemGetAllocationPropertiesFromHandle"}  # names no place


def entries(table):
    """Symbols, and where in their parameters a device is named: an empty list where memory's place is."""
    for line in table:
        found = re.match(r"(cu\w+)\s+\d+\s+(\S+)\s+\((.*)\)\s*$", line)
        if not found:
            continue
        name, form, parameters = found.groups()
        parameters = [each.strip() for each in parameters.split(",")]
        devices = [number for number, each in enumerate(parameters) if re.match(r"CUdevice \w+$", each)]
        if not devices and (name in TELLS_OF_A_HANDLE or not re.search(PLACES, " ".join(parameters))):
            continue
        yield name, devices
        if form != "-":
            yield f"{name}_{form}", devices


def refused(text):
    """The same of the source."""
    found = {}
    for places, names in re.findall(r"hide_at<(Located|Places<[0-9, ]+>),([^;]*?)>\(upper\);", text):
        positions = [int(number) for number in re.findall(r"\d+", places)]
        found.update({name: positions for name in re.findall(r"&T::(\w+)", names)})
    return found


def main():
    sources = sys.argv[1]
    with open(os.path.join(sources, "src/cuda/driver_api.tbl"), encoding="utf-8") as table:
        wanted = dict(entries(table))
    with open(os.path.join(sources, "src/virtualization/vgpu/hidden_calls.cc"), encoding="utf-8") as source:
        there = refused(source.read())
    wrong = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    for name in wrong:
        print(f"{name}: takes a device at {wanted.get(name, 'nowhere')}, looked at: {there.get(name, 'nowhere')}")
    if wrong or not wanted:
        sys.exit(1)
    print(f"PASS {len(wanted)} calls")


main()
