"""Helpers for all checks: registration, assertions, waiting, and the paths of the programs."""

import contextlib
import pathlib
import subprocess
import time
import urllib.request
from typing import NamedTuple

CHECKS = []

# Time limit of a wait in seconds, with room for a loaded machine.
TIMEOUT_SECONDS = 45.0
# Seconds between two looks at the received telemetry.
POLL_SECONDS = 0.1
# Characters of a log that are shown if a process fails.
LOG_TAIL = 3000


class Programs(NamedTuple):
    """Paths of the programs that run.sh has built, and of the folder with the Collector's configuration."""

    collector: pathlib.Path
    baton: pathlib.Path
    # Folders with onboarding-lambda and onboarding-api: with default features, and with gRPC.
    plain: pathlib.Path
    grpc: pathlib.Path
    configuration: pathlib.Path


def check(function):
    """Registers a check; the first line of its documentation is its title."""
    CHECKS.append(function)
    return function


def same(found, expected, about=""):
    assert found == expected, f"{about}: expected {expected!r}, found {found!r}"


def until(condition, what):
    """Waits until the condition returns a true value, and returns it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"timed out after {TIMEOUT_SECONDS:.0f} s: {what() if callable(what) else what}"
        time.sleep(POLL_SECONDS)


def responds(url):
    """Returns whether an HTTP server responds to a GET with 200."""
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(url, timeout=1) as response:
            return response.status == 200
    return False


def wait_for_exit(process, limit=TIMEOUT_SECONDS):
    """Waits for the exit of a process that was told to stop, and kills it after the time limit."""
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def log_tail(path):
    """Returns the end of a log."""
    return path.read_text(errors="replace")[-LOG_TAIL:] if path.exists() else ""
