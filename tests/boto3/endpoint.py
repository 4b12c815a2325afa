"""Waits for the one JSON line of `baton up --json` in a file and prints its `sqs` field.

Usage: endpoint.py FILE PID, where PID is the process that writes the file.
"""

import json
import os
import sys
import time

# `baton up --sqs-only` starts in milliseconds; this leaves room for a loaded machine.
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.05


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> int:
    path, pid = sys.argv[1], int(sys.argv[2])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with open(path, encoding="utf-8") as file:
            line = file.readline()
        if line.endswith("\n"):
            print(json.loads(line)["sqs"])
            return 0
        if not is_running(pid):
            print("endpoint.py: baton ended before it was ready", file=sys.stderr)
            return 1
        time.sleep(PAUSE_SECONDS)
    print(f"endpoint.py: baton was not ready after {PATIENCE_SECONDS} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
