"""Reads the line of JSON that `baton up --json` writes from standard input, and prints its `sqs` field.

The input is a pipe from baton: if baton exits before it is ready, the pipe is closed.
"""

import json
import os
import select
import sys
import time

# Time limit for the start of `baton up --sqs-only`, which takes milliseconds on an idle machine.
START_SECONDS = 30
CHUNK_BYTES = 4096


def main() -> int:
    deadline = time.monotonic() + START_SECONDS
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([sys.stdin], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            print(f"endpoint.py: baton was not ready after {START_SECONDS} s", file=sys.stderr)
            return 1
        chunk = os.read(sys.stdin.fileno(), CHUNK_BYTES)
        if not chunk:
            print("endpoint.py: baton exited before it was ready", file=sys.stderr)
            return 1
        line += chunk
    print(json.loads(line)["sqs"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
