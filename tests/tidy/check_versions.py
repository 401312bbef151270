#!/usr/bin/env python3
"""Compares the versions in src/cuda/driver_api.tbl with the typedefs of an installed CUDA toolkit.

usage: check_versions.py [INCLUDE_FOLDER]

Each typedef PFN_name_vVERSION[_ptds|_ptsz] of cudaTypedefs.h and cudaProfilerTypedefs.h is one form of a function, and
VERSION the CUDA version that brought it. Functions that have no typedef cannot be compared. Exit status 77: no toolkit.
"""
import collections
import os
import re
import sys

TABLE = "src/cuda/driver_api.tbl"
HEADERS = ("cudaTypedefs.h", "cudaProfilerTypedefs.h")
LINE = re.compile(r"^(\w+)\s+(\d+)\s+(-|ptds|ptsz)\s+\(", re.MULTILINE)
TYPEDEF = re.compile(r"\(CUDAAPI \*PFN_(\w+?)_v(\d+)(?:_(ptsz|ptds))?\)")
PER_THREAD_SINCE = 7000


def table_forms():
    forms = collections.defaultdict(set)
    for symbol, since, form in LINE.findall(open(TABLE).read()):
        name = re.sub(r"_v\d+$", "", symbol)
        forms[name].add((int(since), ""))
        if form != "-":
            forms[name].add((max(int(since), PER_THREAD_SINCE), form))
    return forms


def header_forms(folder):
    forms = collections.defaultdict(set)
    for header in HEADERS:
        for name, version, form in TYPEDEF.findall(open(os.path.join(folder, header)).read()):
            forms[name].add((int(version), form))
    return forms


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/local/cuda/include"
    if not os.path.exists(os.path.join(folder, HEADERS[0])):
        print("no %s in %s" % (HEADERS[0], folder))
        sys.exit(77)
    table, header = table_forms(), header_forms(folder)
    wrong = [name for name in sorted(header) if header[name] != table.get(name)]
    for name in wrong:
        print("%s: the toolkit has %s, the table %s" % (name, sorted(header[name]), sorted(table.get(name, ()))))
    print("%d functions compared, %d differ" % (len(header), len(wrong)))
    sys.exit(1 if wrong or not header else 0)


main()
