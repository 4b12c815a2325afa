"""Reads the one JSON line of `baton up --json` from standard input and prints its `sqs` field.

The input is a pipe that baton holds: if baton ends before it is ready, the pipe ends with it.
"""

import json
import os
import select
import sys
import time

# `baton up --sqs-only` starts in milliseconds; this leaves room for a loaded machine.
PATIENCE_SECONDS = 30
CHUNK_BYTES = 4096


def main() -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([sys.stdin], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            print(f"endpoint.py: baton was not ready after {PATIENCE_SECONDS} s", file=sys.stderr)
            return 1
        chunk = os.read(sys.stdin.fileno(), CHUNK_BYTES)
        if not chunk:
            print("endpoint.py: baton ended before it was ready", file=sys.stderr)
            return 1
        line += chunk
    print(json.loads(line)["sqs"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
