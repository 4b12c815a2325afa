"""What all checks share: how they are registered, compare and wait, and where things are."""

import pathlib
import subprocess
import time
from typing import NamedTuple

CHECKS = []

# A busy machine may be slow, and a check must end.
PATIENCE = 45.0
# Between two looks at what has arrived.
LOOK_EVERY = 0.1
# What is shown of a file when a process has failed.
LAST_WORDS = 3000


class Programs(NamedTuple):
    """What run.sh has built."""

    collector: pathlib.Path
    baton: pathlib.Path
    # Folders with onboarding-lambda and onboarding-api in them: with their default features, and with gRPC.
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
    """Waits until the condition gives something true, and returns that."""
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s: {what() if callable(what) else what}"
        time.sleep(LOOK_EVERY)


def ended(process, limit=PATIENCE):
    """Waits for a process that has been told to end; it is killed when it does not."""
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def last_words(path):
    """The end of a log."""
    return path.read_text(errors="replace")[-LAST_WORDS:] if path.exists() else ""
