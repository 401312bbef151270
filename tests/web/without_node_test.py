#!/usr/bin/env python3
"""Where node is missing the configuration says so, everything else is built, and the daemon says why it has no page.

usage: without_node_test.py CMAKE SOURCE_DIR
"""
import os
import subprocess
import sys
import tempfile

CMAKE, SOURCE = sys.argv[1:3]
REASON = "node 18 and npm were not there when it was built"


def main():
    with tempfile.TemporaryDirectory(prefix="tessera-without-node-") as build:
        nowhere = os.path.join(build, "nowhere")
        told = subprocess.run([CMAKE, "-S", SOURCE, "-B", build, "-G", "Ninja", f"-DTESSERA_OUT={build}/out", f"-DNODE_PROGRAM={nowhere}", f"-DNPM_PROGRAM={nowhere}"],
                              capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        assert f"No web page for the daemon: {REASON}" in told.stdout and "Everything else is built." in told.stdout, told.stdout
        # What stands for the page needs no node.
        assets = os.path.join(build, "generated", "node", "http_assets.cc")
        built = subprocess.run([CMAKE, "--build", build, "--target", "generated/node/http_assets.cc"], capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
        with open(assets, encoding="utf-8") as file:
            assert REASON in file.read()
        with open(os.path.join(build, "build.ninja"), encoding="utf-8") as file:
            rules = file.read()
        assert "http_server.cc" in rules and "out/bin/tesserad:" in rules, "the daemon has its rules"
        # Who asked for the page is told that it cannot be had.
        wanted = subprocess.run([CMAKE, build, "-DTESSERA_PAGE=ON"], capture_output=True, text=True)
        assert wanted.returncode != 0 and REASON in wanted.stderr, wanted.stderr
    print("PASS")


if __name__ == "__main__":
    main()
