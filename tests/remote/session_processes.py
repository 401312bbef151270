"""Processes of sessions as the system has them: the children of `tessera serve` but the one that it keeps for the next session."""
import json
import subprocess
import time


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def session_processes(tessera, pid, environment, seconds=30):
    """Of the server `pid`, which `tessera limit` asks by default. Which process waits is what the server says: every other child is a
    session's, whether the server knows of it or not. FileNotFoundError where the server has gone."""
    end = time.monotonic() + seconds
    while True:
        before = children(pid)
        asked = subprocess.run([tessera, "limit", "--json"], env=environment, capture_output=True, text=True, timeout=seconds)
        after = children(pid)
        # Between two looks that are the same, the answer is about these processes.
        if asked.returncode == 0 and before == after:
            waiting = json.loads(asked.stdout)["server"]["waiting_process"]
            if waiting is not None and waiting not in after:
                raise AssertionError(f"process {waiting} waits for a session, and is none of {after}")
            return [child for child in after if child != waiting]
        if time.monotonic() > end:
            raise AssertionError(f"the server does not say which process waits: {asked.stderr or (before, after)}")
        time.sleep(0.01)
