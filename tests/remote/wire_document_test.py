#!/usr/bin/env python3
"""docs/wire.md ends with the table of the calls as they travel today.

usage: wire_document_test.py SOURCE_FOLDER
"""
import pathlib
import subprocess
import sys
import tempfile

source = pathlib.Path(sys.argv[1])
with tempfile.NamedTemporaryFile("r") as made:
    subprocess.run([sys.executable, source / "src/remote/generate_calls.py", "document", source / "src/cuda/driver_api.tbl",
                    source / "src/remote/calls.tbl", made.name], check=True)
    table = pathlib.Path(made.name).read_text()
if not (source / "docs/wire.md").read_text().endswith(table):
    sys.exit("docs/wire.md: the table is not that of `generate_calls.py document`: put its output at the end")
